"""From pages to complete rosters: read, confirmed, compared with what is in force."""

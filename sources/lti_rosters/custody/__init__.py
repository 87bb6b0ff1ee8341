"""What is done to data that is there: gone over to pseudonyms, erased, dropped when it is old (design §7)."""

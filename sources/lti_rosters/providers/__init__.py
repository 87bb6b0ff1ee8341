"""What a platform says: tokens, pages and members, each provider in a module of its own."""

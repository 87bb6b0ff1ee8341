"""The raw tables: their columns, Arrow batches of rows, and what the destination has committed of them."""

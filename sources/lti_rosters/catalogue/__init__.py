"""Which courses there are, in whatever form the catalogue comes."""

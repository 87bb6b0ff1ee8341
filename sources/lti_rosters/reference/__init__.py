"""A small LTI platform on loopback for the demo and the tests; it imports nothing of the package."""

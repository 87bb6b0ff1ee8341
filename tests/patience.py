"""How long a test waits for what surely comes."""

PATIENCE = 300.0  # seconds: who needs more hangs, on however busy a machine

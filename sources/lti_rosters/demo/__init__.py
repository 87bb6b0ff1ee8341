"""An invented campus, and the whole path shown on it."""

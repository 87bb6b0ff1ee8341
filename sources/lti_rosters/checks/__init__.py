"""The doctor: one short visit to each platform, step by step, nothing written."""

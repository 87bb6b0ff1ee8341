"""The version; here because an installed package's metadata is missing from a copy made by `dlt init`."""

__version__ = "0.1.0"

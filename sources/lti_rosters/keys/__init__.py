"""The tool's keys: read from PEM or JWK, named by their thumbprint, shown as JWKs."""

"""What a run is told: registrations, options and secrets from dlt's configuration, every fault at once."""

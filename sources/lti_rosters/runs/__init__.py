"""What our commands do around the source: working directory, destination, models, and the telling of it."""

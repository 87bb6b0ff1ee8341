"""What a reader prints when it has loaded: its cost up to then, and what stands in the database."""

import json
import os
import resource

import duckdb


def report(database: str, **queries: str) -> None:
    """Print as one line of JSON: CPU seconds and peak memory so far, then the number each query gives."""
    times = os.times()
    cpu = times.user + times.system + times.children_user + times.children_system
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with duckdb.connect(database, read_only=True) as connection:
        counts = {name: connection.execute(query).fetchone()[0] for name, query in queries.items()}
    print(json.dumps({"cpu_s": round(cpu, 2), "peak_mb": round(peak), **counts}))

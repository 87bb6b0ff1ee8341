"""A real PostgreSQL for tests: a server of its own on loopback, its data in a temporary directory.

with server(tmp_path) as postgres:
    postgres.url("rosters")  # a fresh database
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from patience import PATIENCE

USER, PASSWORD = "loader", "of-tests-alone"


@dataclass
class Server:
    """A PostgreSQL that can be stopped and started again, as one that is restarted under a load."""

    binaries: Path
    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [
            *("-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", self.data),
            *("-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "autovacuum=off"),
        ]
        self.process = subprocess.Popen(
            [*as_other(), self.binaries / "postgres", *options],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg2.connect(self.url("postgres")).close()
                return
            except psycopg2.OperationalError:
                assert time.monotonic() < end, "PostgreSQL does not start"
                assert self.process.poll() is None, "PostgreSQL ended at once"
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once, as when its machine goes down; connections are cut."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(PATIENCE)
            self.process = None

    def url(self, database: str) -> str:
        """The URL of *database*, for dlt."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make a fresh database and return its URL."""
        self.sql("postgres", f'CREATE DATABASE "{database}"')
        return self.url(database)

    def sql(self, database: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run *query* in *database*'s raw dataset, by itself."""
        connection = psycopg2.connect(
            self.url(database), options="-c search_path=lti_raw,lti -c timezone=UTC"
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


@contextmanager
def server(directory: Path) -> Iterator[Server]:
    """Start a server with its data in *directory*, which the server's user must be able to reach."""
    made = Server(binaries(), directory / "data", free_port())
    directory.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        account = other()
        os.chown(directory, account.pw_uid, account.pw_gid)
    secret = directory / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    options = ["-D", made.data, "-U", USER, "-A", "scram-sha-256", "--pwfile", secret, "-N", "-E", "UTF8"]
    subprocess.run(
        [*as_other(), made.binaries / "initdb", *options, "--locale", "C"],
        cwd="/",
        check=True,
        capture_output=True,
    )
    made.start()
    try:
        yield made
    finally:
        made.stop()


def binaries() -> Path:
    """Where the programs of the newest installed PostgreSQL are."""
    found = installed()
    assert found, "PostgreSQL is not installed (on Debian: apt-get install postgresql)"
    return found


def installed() -> Path | None:
    """The same, or None; Debian and Ubuntu keep the server off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    path = shutil.which("postgres")
    return Path(path).resolve().parent if path else None


def other() -> pwd.struct_passwd:
    """Whom root has run the server, which refuses to be root."""
    names = {account.pw_name: account for account in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def as_other() -> list[str]:
    """What a command begins with to run as that user, where we are root."""
    if os.geteuid() != 0:
        return []
    account = other()
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])

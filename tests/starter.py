"""Processes of `lti-rosters` that start at once: forked from one that has imported everything already.

A process of its own spends more than a second on imports, and tests start hundreds. What is forked is one all the
same: it has its arguments, environment, directory, streams and signals, and dies of `kill -9` alone. It can't tell
what a command imports, nor what Python makes of its own variables and of its locale: `Desk` starts it anew for that.

As a script this is the process that is forked; imported, it is how to ask that for another. All workers of a test
run ask the same one: to start it takes as much as several tests. It ends when nobody is connected any more.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

BESIDE = (
    "dbt.cli.main",
    "dbt.adapters.duckdb",
    "dbt.adapters.postgres",
    "duckdb",
    "pyarrow.parquet",
    "sqlalchemy",
)  # imported where they are used
STDERR = {"errors": "backslashreplace", "line_buffering": True}  # as Python opens it
SIZE = 8  # bytes that tell how long a request is


def _text(read: io.FileIO) -> IO[str]:
    return io.TextIOWrapper(io.BufferedReader(read), encoding="utf-8")


class Started:
    """A process that was forked, in the words of `subprocess.Popen` with text in its pipes."""

    def __init__(self, link: socket.socket, out: int, err: int) -> None:
        """Take the ends of ours: *link* tells the id of the process, and once it has ended its status."""
        self._link = link.makefile("r")
        self.pid = int(self._link.readline())
        self.stdout: IO[str] = _text(io.FileIO(out))
        self.stderr: IO[str] = _text(io.FileIO(err))
        self.returncode: int | None = None
        self._said: dict[IO[str], str] = {}
        self._readers: list[threading.Thread] = []

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, negative for a signal; raises TimeoutExpired after *timeout* seconds."""
        if self.returncode is None:
            if not select.select([self._link], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("lti-rosters", timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(int(self._link.readline()))
            self._link.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit status, or None while it is at work."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; return all that it said on stdout and on stderr."""
        if not self._readers:
            self._readers = [
                threading.Thread(target=self._read, args=(pipe,), daemon=True)
                for pipe in (self.stdout, self.stderr)
            ]
            for reader in self._readers:
                reader.start()
        self.wait(timeout)
        for reader in self._readers:
            reader.join()
        return self._said[self.stdout], self._said[self.stderr]

    def _read(self, pipe: IO[str]) -> None:
        self._said[pipe] = "" if pipe.closed else pipe.read()
        pipe.close()


def start(
    arguments: Sequence[str], directory: Path, environment: Mapping[str, str], *, script: Path | None = None
) -> Started:
    """Start `lti-rosters` with *arguments* in *directory*, with nothing but *environment* in its environment.

    Another *script* than the command's is started in its place.
    """
    program = str(script) if script else "lti-rosters"
    request = json.dumps([[program, *arguments], str(directory), dict(environment)]).encode()
    ours, theirs = socket.socketpair()
    (out, their_out), (err, their_err) = os.pipe(), os.pipe()
    with _LOCK:
        door = _door()
        socket.send_fds(door, [len(request).to_bytes(SIZE)], [their_out, their_err, theirs.fileno()])
        door.sendall(request)
    for end in (their_out, their_err):
        os.close(end)
    theirs.close()
    return Started(ours, out, err)


_LOCK = threading.Lock()


@functools.cache
def _door() -> socket.socket:
    """The way to the process that is forked, which is started by whoever of the test run needs it first."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))[:16]
    address = Path(tempfile.gettempdir()) / f"lti-rosters-{os.getuid()}-{run}"
    door = socket.socket(socket.AF_UNIX)
    try:
        door.connect(str(address))
    except OSError:  # nobody has started it, or it has ended
        _listen(address, door)
    atexit.register(door.close)
    return door


def _listen(address: Path, door: socket.socket) -> None:
    """Start the process that is forked and connect *door* to it; then others find it at *address*.

    Of two that come here at once each has its own.
    """
    own = address.with_name(f"{address.name}.{os.getpid()}")
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.umask(0o077)  # who may connect may have anything run
        try:
            listener.bind(str(own))
        finally:
            os.umask(before)
        listener.listen()
        door.connect(str(own))
        own.rename(address)
        given = listener.fileno()
        subprocess.Popen(
            [sys.executable, "-P", __file__, str(given), str(address)],
            pass_fds=[given],
            stdin=subprocess.DEVNULL,
        )


# The process that is forked


def _import_everything() -> None:
    package = importlib.import_module("lti_rosters")
    for module in pkgutil.walk_packages(package.__path__, "lti_rosters."):
        importlib.import_module(module.name)
    for name in BESIDE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _beside(name: str) -> Any:
    """A module of the tests, whose folder no command must find on its path."""
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        return importlib.import_module(name)
    finally:
        del sys.path[0]


def _import_dbt() -> None:
    """Have dbt make what it makes of itself when it builds first in a process, which takes it as long as a build."""
    from lti_rosters.runs import models

    _beside("shortcuts").in_dbt()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = _beside("models.raw_tables").hand_made().write(folder / "rosters.duckdb")
        warehouse = models.Warehouse(adapter="duckdb", path=path)
        # dbt's static parser has threads of its own, and who is forked from a process that used it waits for them.
        build = models.run_dbt
        models.run_dbt = lambda command, *told: build(["--no-static-parser", *command], *told)
        try:  # with the hours that most tests have
            models.build(warehouse, work_dir=folder, stale_after_hours={"canvas": 48.0, "default": 48.0})
        finally:
            models.run_dbt = build


def _requests(listener: socket.socket) -> Iterator[tuple[Any, list[int], list[socket.socket]]]:
    """What is asked for, the descriptors of stdout, stderr and the link, and all doors that stand open."""
    doors: list[socket.socket] = [listener.accept()[0]]
    while doors:
        for ready in select.select([listener, *doors], [], [])[0]:
            if ready is listener:
                doors.append(listener.accept()[0])
                continue
            head, descriptors, _, _ = socket.recv_fds(ready, SIZE, 3)
            if not head:
                ready.close()
                doors.remove(ready)
                continue
            body = b""
            while len(body) < int.from_bytes(head):
                body += ready.recv(int.from_bytes(head) - len(body))
            yield json.loads(body), descriptors, [listener, *doors]
            for descriptor in descriptors:
                os.close(descriptor)


def _forked(listener: socket.socket) -> list[str] | None:
    """Fork for each request; return in each child the program and its arguments that it is to be; None at the end."""
    for (arguments, directory, environment), (out, err, link), doors in _requests(listener):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # keepers that have ended
                pass
        if os.fork():
            continue
        # A keeper: it waits for the command's process, which it forks in turn, and tells its status.
        for door in doors:
            door.close()
        child = os.fork()
        if not child:
            os.close(link)
            _become(directory, environment, out, err)
            return list(arguments)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.close(out)
        os.close(err)
        os.write(link, f"{child}\n".encode())
        os.write(link, f"{os.waitpid(child, 0)[1]}\n".encode())
        os._exit(0)
    return None


def _become(directory: str, environment: Mapping[str, str], out: int, err: int) -> None:
    """Take on the surroundings of the command: directory, environment and streams."""
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    sys.stdin = _text(io.FileIO(0, closefd=False))
    for name, descriptor, manner in (("stdout", 1, {}), ("stderr", 2, STDERR)):
        written = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
        setattr(sys, name, io.TextIOWrapper(written, encoding="utf-8", **manner))


def _run(program: str) -> None:
    """Be the command `lti-rosters`, or a script."""
    if program != "lti-rosters":
        runpy.run_path(program, run_name="__main__")
        return
    from lti_rosters.cli.main import main

    main()


def _end(status: object) -> None:
    """End with *status* as Python does, but leave to the system what was imported: to take it apart copies all of it.

    Returns where Python has more to do than that.
    """
    if not isinstance(status, int | None):
        return
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit((status or 0) & 0xFF)


if __name__ == "__main__":
    os.setsid()  # not ended by a signal for the one that started it: others ask it too
    _import_everything()
    _beside("shortcuts").in_dlt()
    with contextlib.suppress(ImportError):
        _import_dbt()
    gc.freeze()  # what is there is not looked at, and so not copied, in every child
    asked = _forked(socket.socket(fileno=int(sys.argv[1])))
    if asked is None:
        Path(sys.argv[2]).unlink(missing_ok=True)
    else:
        sys.argv = asked
        try:
            _run(asked[0])
        except SystemExit as told:
            _end(told.code)
            raise

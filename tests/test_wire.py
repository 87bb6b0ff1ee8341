"""Sockets: what does not go out at once goes out in time or not at all."""

import socket
import threading
import time
from collections.abc import Iterator

import httpcore
import pytest

from lti_rosters.web.wire import SLICE, Backend, Watch
from patience import PATIENCE

MUCH = b"member" * 5_000_000  # more than two sockets hold


@pytest.fixture
def ends() -> Iterator[tuple[httpcore.NetworkStream, socket.socket]]:
    """A stream of ours, and the other end of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = Backend(Watch(threading.Event())).connect_tcp(*server.getsockname(), timeout=PATIENCE)
        other, _ = server.accept()
        with other:
            yield stream, other
            stream.close()


def test_what_goes_out_in_parts_comes_whole(ends: tuple[httpcore.NetworkStream, socket.socket]) -> None:
    """Who reads late and slowly gets every byte once."""
    stream, other = ends
    read: list[bytes] = []

    def late() -> None:
        time.sleep(SLICE + 0.2)
        while sum(map(len, read)) < len(MUCH):
            read.append(other.recv(1_000_000))

    reader = threading.Thread(target=late, daemon=True)
    reader.start()
    stream.write(MUCH, PATIENCE)
    reader.join(PATIENCE)

    assert b"".join(read) == MUCH


@pytest.mark.parametrize("timeout", [0.1, SLICE + 0.2])
def test_who_reads_nothing_is_not_waited_for(
    ends: tuple[httpcore.NetworkStream, socket.socket], timeout: float
) -> None:
    """The timeout bounds all of the writing, whether it is longer than the first attempt or not."""
    stream, _ = ends

    def takes() -> float:
        began = time.monotonic()
        with pytest.raises(httpcore.WriteTimeout):
            stream.write(MUCH, timeout)
        return time.monotonic() - began

    tries = [takes()]
    while tries[-1] >= timeout + 0.4 and len(tries) < 9:  # the machine may have been busy
        tries.append(takes())

    assert timeout - 0.05 < min(tries) < timeout + 0.4

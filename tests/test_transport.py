"""Requests to a real server: repeated where that helps, followed where allowed, never believed when cut."""

import contextlib
import email.utils
import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from door import Hurry, Recorder, at_once, door, effort, get, json_reply, post, read
from lti_rosters.errors import (
    Interrupted,
    LoopedError,
    LtiRostersError,
    MalformedError,
    OtherHostError,
    RosterTimeoutError,
    ThrottledError,
    TooLargeError,
    UnreachableError,
)
from lti_rosters.reference.platform import BLACKBOARD, CANVAS, D2L, Manner
from lti_rosters.reference.refusals import maintenance, throttled
from lti_rosters.reference.server import Reply, Request
from lti_rosters.web.answer import RETRIED, retry_after, units_left
from lti_rosters.web.transport import Call
from patience import PATIENCE

BODY = b'{"id": "x", "context": {"id": "c"}, "members": []}'
GOOD = json_reply(BODY)
REFUSED_LINE = b"HTTP/1.0 0 \r\nContent-Type: text/html\r\n\r\n"  # what Moodle sends for E77


def always(reply: Reply) -> Callable[[Request], Reply]:
    """A server that knows one answer."""
    return lambda _: reply


# Again


@pytest.mark.parametrize("status", sorted(RETRIED))
@pytest.mark.parametrize("call", [get, post])
def test_passing_statuses_are_asked_again(status: int, call: Callable) -> None:
    """A status that passes is asked again, for a roster and for a token alike (E127, E134)."""
    spent = effort()
    with Recorder([Reply(status), GOOD]) as server, door(server.origin) as transport:
        answer = transport.exchange(call(server.origin + "/x"), spent)

    assert (answer.status, answer.body) == (200, BODY)
    assert (spent.requests, spent.retries, spent.throttles) == (2, 1, int(status == 429))


@pytest.mark.parametrize("status", [200, 204, 400, 401, 404, 405, 410, 413, 501, 505])
def test_other_statuses_are_answers(status: int) -> None:
    """Every other status is handed on at the first attempt."""
    with Recorder([Reply(status)]) as server, door(server.origin) as transport:
        assert read(transport, server.origin).status == status


@pytest.mark.parametrize(
    "fault",
    [
        Reply(reset=True),
        replace(GOOD, cut_after=9),
        replace(GOOD, cut_after=9, chunked=True),
        replace(GOOD, cut_after=9, reset=True),
        replace(GOOD, cut_after=0),
        Reply(raw=b""),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
        Reply(raw=REFUSED_LINE),
        Reply(200, [("Content-Encoding", "gzip")], gzip.compress(BODY)[:-4]),
        Reply(200, [("Content-Encoding", "gzip")], b"<html>"),
    ],
    ids=[
        "reset",
        "cut by Content-Length",
        "cut chunks",
        "reset in the body",
        "no body",
        "closed unanswered",
        "cut headers",
        "no status line",
        "cut gzip",
        "damaged gzip",
    ],
)
def test_faults_of_the_connection_are_asked_again(fault: Reply) -> None:
    """A connection that breaks, and a body that is not whole, are asked for again (E137, E77)."""
    with Recorder([fault, GOOD]) as server, door(server.origin) as transport:
        assert read(transport, server.origin).body == BODY


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Reply(503), UnreachableError),
        (Reply(reset=True), UnreachableError),
        (replace(GOOD, cut_after=9), UnreachableError),
        (replace(GOOD, cut_after=9, chunked=True), UnreachableError),
        (Reply(200, [("Content-Encoding", "gzip")], gzip.compress(BODY)[:-4]), UnreachableError),
        (Reply(raw=REFUSED_LINE), MalformedError),
        (Reply(429), ThrottledError),
    ],
    ids=["503", "reset", "cut", "cut chunks", "cut gzip", "no status line", "429"],
)
def test_attempts_are_bounded(fault: Reply, error: type[LtiRostersError]) -> None:
    """After max_attempts the request fails, as what it is (E70, E77: no endless retry)."""
    spent = effort()
    with (
        Recorder(always(fault)) as server,
        door(server.origin, max_attempts=3) as transport,
        pytest.raises(error) as raised,
    ):
        read(transport, server.origin, spent)

    assert raised.type is error
    assert "after 3 attempts" in str(raised.value)
    assert len(server.requests) == spent.requests == 3
    assert spent.retries == 2


def test_probe_asks_once() -> None:
    """A probe of a platform that has been silent is not repeated."""
    with (
        Recorder(always(Reply(503))) as server,
        door(server.origin) as transport,
        pytest.raises(UnreachableError),
    ):
        read(transport, server.origin, effort(is_probe=True))

    assert len(server.requests) == 1


def test_headers_and_content_are_made_anew() -> None:
    """Each attempt asks for its headers and its content again: an assertion is never sent twice (E116)."""
    numbers = iter(range(9))
    with Recorder([Reply(503), Reply(reset=True), GOOD]) as server, door(server.origin) as transport:
        call = replace(post(server.origin), content=lambda: b"%d" % next(numbers))
        transport.exchange(call, effort())

    assert [request.body for request in server.requests] == [b"0", b"1", b"2"]


def test_backoff_is_jittered_in_full() -> None:
    """Waits are spread from nothing to a bound that doubles: one second, two, four, eight."""
    firsts, lasts = [], []
    for _ in range(60):
        hurry = Hurry()
        with (
            Recorder(always(Reply(503))) as server,
            door(server.origin, stop=hurry) as transport,
            pytest.raises(UnreachableError),
        ):
            read(transport, server.origin)
        assert len(hurry.waits) == 4
        assert all(wait <= 2**n for n, wait in enumerate(hurry.waits))
        firsts.append(hurry.waits[0])
        lasts.append(hurry.waits[3])

    assert min(firsts) < 0.2 < 0.8 < max(firsts)
    assert min(lasts) < 2 < 6 < max(lasts)


def test_connection_closed_between_requests_is_replaced() -> None:
    """A platform may close a kept connection at any moment; the next request is made on another."""
    with Recorder(always(GOOD)) as server, door(server.origin) as transport:
        for _ in range(3):
            assert read(transport, server.origin).status == 200
            for connection in list(server.server._open):
                with contextlib.suppress(OSError):  # closed by the other side already
                    connection.shutdown(socket.SHUT_RDWR)
        assert read(transport, server.origin).status == 200


def test_kept_connections_are_used_again() -> None:
    """Twenty requests in a row need one connection."""
    with Recorder(always(GOOD)) as server, door(server.origin) as transport:
        for _ in range(20):
            read(transport, server.origin)
        assert len(server.server._open) == 1


# Told to wait


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_obeyed(status: int) -> None:
    """The wait is what Retry-After says, to the second (E127)."""
    hurry = Hurry()
    replies = [Reply(status, [("Retry-After", "7")]), GOOD]
    with Recorder(replies) as server, door(server.origin, stop=hurry) as transport:
        read(transport, server.origin)

    assert hurry.waits == [7.0]


def test_retry_after_as_a_date_is_obeyed() -> None:
    """A date is read against the platform's own clock, which may be an hour off ours (E127)."""
    hurry, there = Hurry(), time.time() - 3600
    headers = [
        ("Date", email.utils.formatdate(there, usegmt=True)),
        ("Retry-After", email.utils.formatdate(there + 30, usegmt=True)),
    ]
    with Recorder([Reply(503, headers), GOOD]) as server, door(server.origin, stop=hurry) as transport:
        read(transport, server.origin)

    assert hurry.waits == [30.0]


@pytest.mark.parametrize("told", ["0", "Sun, 06 Nov 1994 08:49:37 GMT"], ids=["zero", "past"])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_of_nothing_still_waits(status: int, told: str) -> None:
    """Told to come back at once we wait as if told nothing, even where a told wait may be none (E127)."""
    hurry = Hurry()
    with (
        Recorder(always(Reply(status, [("Retry-After", told)]))) as server,
        door(server.origin, stop=hurry, max_attempts=9, max_wait=0) as transport,
        pytest.raises(LtiRostersError, match="after 9 attempts"),
    ):
        read(transport, server.origin, effort(7200))

    assert len(hurry.waits) == 8
    assert min(hurry.waits) > 0
    assert sum(hurry.waits) > 1


@pytest.mark.parametrize("status", [429, 503])
def test_longer_retry_after_than_max_wait_fails(status: int) -> None:
    """A Retry-After above max_wait fails the request without any wait (E127, E134)."""
    hurry = Hurry()
    reply = Reply(status, [("Retry-After", "301")])
    with (
        Recorder([reply]) as server,
        door(server.origin, stop=hurry, max_wait=300) as transport,
        pytest.raises(ThrottledError if status == 429 else UnreachableError, match="301 s"),
    ):
        read(transport, server.origin)

    assert hurry.waits == []


def test_retry_after_beyond_the_deadline_fails() -> None:
    """A wait that the roster's time does not allow is not begun."""
    reply = Reply(503, [("Retry-After", "100")])
    with Recorder([reply]) as server, door(server.origin) as transport, pytest.raises(UnreachableError):
        read(transport, server.origin, effort(50))


def test_nobody_asks_while_peace_is_wanted() -> None:
    """After three rosters in a row are told to wait too long, no other asks (E131, E132)."""
    away = Reply(429, [("Retry-After", "3600")])
    with Recorder(always(away)) as server, door(server.origin) as transport:
        for _ in range(20):
            with pytest.raises(ThrottledError):
                read(transport, server.origin)

    assert len(server.requests) == 3


def test_one_roster_that_is_sent_away_stays_one() -> None:
    """A Retry-After that is too long and of one course alone fails that one: the others are read (E136)."""
    away = Reply(429, [("Retry-After", "3600")])
    answer = lambda request: away if request.path == "/busy" else GOOD  # noqa: E731
    with Recorder(answer) as server, door(server.origin) as transport:
        for _ in range(10):
            with pytest.raises(ThrottledError):
                read(transport, server.origin + "/busy")
            assert read(transport, server.origin + "/quiet").status == 200


def test_maintenance_of_moodle() -> None:
    """503 with HTML and Retry-After 300 is waited for within the cap, then unreachable (E134)."""
    hurry = Hurry()
    with (
        Recorder(always(maintenance())) as server,
        door(server.origin, stop=hurry, max_attempts=2) as transport,
        pytest.raises(UnreachableError, match="503"),
    ):
        read(transport, server.origin, effort(3600))

    assert hurry.waits == [300.0]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 12 "}, 12),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "999999999999"}, 999999999999),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "١٢"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0),
        ({"retry-after": "Sun Nov  6 08:49:47 1994", "date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 10),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 -0000", "date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 10),
        ({"retry-after": "Sun, 99 Nov 1994 08:49:37 GMT"}, None),
        ({"x-rate-limit-reset": "86"}, 86),
        ({"x-rate-limit-reset": "later"}, None),
        ({"retry-after": "3", "x-rate-limit-reset": "86"}, 3),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], expected: float | None) -> None:
    """Retry-After in both forms, else X-Rate-Limit-Reset; what cannot be read is none (E127, E128)."""
    assert retry_after(headers) == expected


def test_reset_as_a_moment() -> None:
    """X-Rate-Limit-Reset may be a moment of Unix time (E128)."""
    told = retry_after({"x-rate-limit-reset": str(int(time.time()) + 90)})

    assert told is not None
    assert 88 < told <= 90


@given(st.dictionaries(st.sampled_from(["retry-after", "date", "x-rate-limit-reset"]), st.text()))
def test_no_header_breaks_the_wait(headers: dict[str, str]) -> None:
    """Whatever stands in these headers, the wait is a number that is not negative, or none."""
    told = retry_after(headers)

    assert told is None or told >= 0


# Throttled


@pytest.mark.parametrize("manner", [CANVAS, D2L, BLACKBOARD], ids=lambda manner: manner.name)
def test_throttles_of_products(manner: Manner) -> None:
    """Canvas's 403, D2L's and Blackboard's 429: noted, halved, asked again (E129, E131, E132)."""
    spent = effort()
    with Recorder([throttled(manner, 0), GOOD]) as server, door(server.origin) as transport:
        assert read(transport, server.origin, spent).status == 200
        assert transport.pace.limit == 4

    assert (spent.throttles, spent.retries) == (1, 1)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], b"403 Forbidden (Rate Limit Exceeded)\n"),
        ([("X-Rate-Limit-Remaining", "0.0")], b""),
        ([("X-Rate-Limit-Remaining", "-3.2")], b"Forbidden"),
    ],
    ids=["text", "empty bucket", "overdrawn bucket"],
)
def test_throttling_by_403(headers: list[tuple[str, str]], body: bytes) -> None:
    """A 403 is a throttle by its text, or by a bucket that is empty (E129)."""
    with Recorder([Reply(403, headers, body), GOOD]) as server, door(server.origin) as transport:
        assert read(transport, server.origin).status == 200


@pytest.mark.parametrize(
    "reply",
    [
        Reply(403, [], b'{"error": "signature_error"}'),
        Reply(403, [], b'{"error": "above_response_limit"}'),
        Reply(403, [("X-Rate-Limit-Remaining", "512.5")], b"user not authorized"),
        Reply(403, [("X-Rate-Limit-Limit", "10000"), ("X-Rate-Limit-Remaining", "0")], b"no"),
        Reply(403, [("X-Rate-Limit-Remaining", "nan")], b"no"),
    ],
    ids=["token", "too large", "canvas says no", "a daily count", "nonsense"],
)
def test_other_403_are_answers(reply: Reply) -> None:
    """A 403 that means token, too large or no is not asked again here (E105, E133)."""
    with Recorder([reply]) as server, door(server.origin) as transport:
        assert read(transport, server.origin).status == 403
        assert transport.pace.limit == 8


class Bucket:
    """Canvas's cost bucket: 600 units, 50 charged up front, the cost in the end, 10 a second given back."""

    def __init__(self, level: float, cost: float) -> None:
        self.level, self.cost = level, cost
        self.refused = 0
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def _charge(self, units: float) -> float:
        with self._lock:
            now = time.monotonic()
            self.level = max(0.0, self.level - (now - self._at) * 10) + units
            self._at = now
            return 600 - self.level

    def __call__(self, _: Request) -> Reply:
        """Serve, or refuse when nothing is left."""
        if self._charge(0) <= 0:
            self.refused += 1
            return throttled(CANVAS)
        self._charge(50)
        time.sleep(0.005)  # the work: others are under way meanwhile
        left = self._charge(self.cost - 50)
        return json_reply(BODY, headers={"X-Rate-Limit-Remaining": str(left)})


def test_bucket_is_respected_before_it_runs_out() -> None:
    """With the bucket nearly spent eight threads provoke no refusal after the first answer (E129, E130)."""
    bucket = Bucket(level=400, cost=4)
    with Recorder(bucket) as server, door(server.origin, stop=threading.Event()) as transport:
        read(transport, server.origin)
        answers = at_once(8, lambda _: [read(transport, server.origin).status for _ in range(5)])

    assert answers == [[200] * 5] * 8
    assert bucket.refused == 0


def test_units_of_a_daily_count_are_none() -> None:
    """Blackboard's remaining calls of the day are no bucket (E132)."""
    assert units_left({"x-rate-limit-limit": "10000", "x-rate-limit-remaining": "12"}) is None
    assert units_left({"x-rate-limit-remaining": "12.5"}) == 12.5
    assert units_left({"x-rate-limit-remaining": "many"}) is None
    assert units_left({}) is None


def test_one_throttled_registration_slows_no_other() -> None:
    """While one platform wants peace, all rosters of another are read."""
    stop = threading.Event()
    held = threading.Event()

    def throttle(_: Request) -> Reply:
        held.set()
        return Reply(429, [("Retry-After", "600")])

    with (
        Recorder(throttle) as slow,
        Recorder(always(GOOD)) as quick,
        door(slow.origin, stop=stop, max_wait=600) as first,
        door(quick.origin, stop=threading.Event()) as second,
    ):
        ended: list[object] = []
        thread = threading.Thread(
            target=lambda: ended.extend(at_once(1, lambda _: read(first, slow.origin, effort(3 * PATIENCE))))
        )
        thread.start()
        assert held.wait(PATIENCE)
        for _ in range(50):
            assert read(second, quick.origin).status == 200
        assert thread.is_alive()
        stop.set()
        thread.join(PATIENCE)

    assert isinstance(ended[0], Interrupted)
    assert second.pace.limit == 8


# Unreachable and slow


def test_refused_connection() -> None:
    """A port where nobody listens is unreachable, after every attempt."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        spent = effort()
        with (
            door(url, max_attempts=3) as transport,
            pytest.raises(UnreachableError, match="cannot be reached"),
        ):
            read(transport, url, spent)

    assert spent.requests == 3


def test_connection_that_is_never_accepted() -> None:
    """A platform that takes no connection in time is unreachable."""
    with socket.socket() as full, ExitStack() as clients:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # fill its queue: what comes now is neither taken nor refused
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        with door(url, timeout=0.2, max_attempts=1) as transport, pytest.raises(UnreachableError):
            read(transport, url)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".invalid", "a..invalid"])
def test_name_that_does_not_resolve(host: str) -> None:
    """A host without an address, or with a name that cannot have one, is unreachable and no bug."""
    url = f"https://{host}/x"
    with door(url, max_attempts=2) as transport, pytest.raises((UnreachableError, MalformedError)):
        read(transport, url)


def test_silence_is_a_timeout() -> None:
    """No byte for `timeout` seconds ends the attempt (E135)."""
    with (
        Recorder(always(replace(GOOD, delay=30))) as server,
        door(server.origin, timeout=0.1, max_attempts=2) as transport,
        pytest.raises(RosterTimeoutError, match=r"sent no byte for 0\.1 s"),
    ):
        read(transport, server.origin)


def test_silence_amid_a_body_is_a_timeout() -> None:
    """A body that stops coming is a timeout as well."""
    with (
        Recorder(always(replace(GOOD, drip=30))) as server,
        door(server.origin, timeout=0.1, max_attempts=1) as transport,
        pytest.raises(RosterTimeoutError),
    ):
        read(transport, server.origin)


def dripping(head: bytes, more: bytes, stopped: threading.Event) -> tuple[socket.socket, threading.Thread]:
    """A server that sends *head* and then *more* byte by byte, without an end."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(head)
            end = time.monotonic() + 2 * PATIENCE
            while not stopped.wait(0.01) and time.monotonic() < end:
                try:
                    connection.sendall(more)
                except OSError:
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return listener, thread


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    ids=["body", "headers", "interim answers"],
)
def test_dripping_meets_the_deadline(head: bytes, more: bytes) -> None:
    """Bytes that keep coming, each within `timeout`, do not outlast the roster's time."""
    stopped = threading.Event()
    listener, thread = dripping(head, more, stopped)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    begun = time.monotonic()
    try:
        with (
            door(url, stop=threading.Event()) as transport,
            pytest.raises(RosterTimeoutError, match="roster_timeout"),
        ):
            read(transport, url, effort(0.3))
    finally:
        stopped.set()
        listener.close()
        thread.join(PATIENCE)

    assert time.monotonic() - begun < PATIENCE


def test_deadline_that_is_over_asks_nothing() -> None:
    """After the roster's time no request is made."""
    with Recorder([]) as server, door(server.origin) as transport, pytest.raises(RosterTimeoutError):
        read(transport, server.origin, effort(-1))

    assert server.requests == []


def test_stop_ends_a_wait_for_bytes() -> None:
    """An interrupt reaches a thread that waits for a slow answer, long before its timeout."""
    stop, arrived = threading.Event(), threading.Event()

    def slow(_: Request) -> Reply:
        arrived.set()
        return replace(GOOD, delay=2 * PATIENCE)

    with Recorder(slow) as server, door(server.origin, stop=stop, timeout=2 * PATIENCE) as transport:
        ended: list[object] = []
        thread = threading.Thread(
            target=lambda: ended.extend(
                at_once(1, lambda _: read(transport, server.origin, effort(2 * PATIENCE)))
            )
        )
        thread.start()
        assert arrived.wait(PATIENCE)
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()

    assert isinstance(ended[0], Interrupted)


def test_stop_ends_a_backoff() -> None:
    """An interrupt reaches a thread that waits to ask again."""
    stop = threading.Event()

    def fail(_: Request) -> Reply:
        stop.set()
        return Reply(503, [("Retry-After", "30")])

    with Recorder(fail) as server, door(server.origin, stop=stop) as transport, pytest.raises(Interrupted):
        read(transport, server.origin)


# Bodies


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_whole_bodies(*, chunked: bool, zipped: bool) -> None:
    """Plain, chunked, gzipped, and both: the body arrives as it was (E137)."""
    body = BODY * 500
    raw = gzip.compress(body) if zipped else body
    headers = [("Content-Encoding", "gzip")] if zipped else []
    with (
        Recorder(always(Reply(200, headers, raw, chunked=chunked))) as server,
        door(server.origin) as transport,
    ):
        assert read(transport, server.origin).body == body


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
        b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
    ],
    ids=["1.0 to the end", "1.0 with a length", "1.1 to the end", "after 100 Continue"],
)
def test_old_answers(raw: bytes) -> None:
    """HTTP/1.0, and a body that ends with its connection, are read (E137)."""
    with Recorder([Reply(raw=raw)]) as server, door(server.origin) as transport:
        assert read(transport, server.origin).body == BODY


@pytest.mark.parametrize("chunked", [False, True])
def test_body_above_max_body_is_too_large(*, chunked: bool) -> None:
    """One byte more than max_body is too large, and not asked for again."""
    with Recorder(always(Reply(200, body=b"x" * 1001, chunked=chunked))) as server:
        with door(server.origin, max_body=1000) as transport, pytest.raises(TooLargeError):
            read(transport, server.origin)
        with door(server.origin, max_body=1001) as transport:
            assert len(read(transport, server.origin).body) == 1001

    assert len(server.requests) == 2


def test_bomb_is_too_large_and_takes_no_memory() -> None:
    """Of a gzip bomb no more is unpacked than max_body."""
    bomb = Reply(200, [("Content-Encoding", "gzip")], gzip.compress(bytes(40_000_000)))
    with Recorder([bomb]) as server, door(server.origin, max_body=1_000_000) as transport:
        tracemalloc.start()
        with pytest.raises(TooLargeError):
            read(transport, server.origin)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert peak < 5_000_000


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "deflate, gzip"])
def test_other_codings_are_malformed(coding: str) -> None:
    """A coding that was not asked for, or one upon another, is refused at once."""
    with (
        Recorder([Reply(200, [("Content-Encoding", coding)], b"x")]) as server,
        door(server.origin) as transport,
        pytest.raises(MalformedError),
    ):
        read(transport, server.origin)


def test_only_gzip_is_asked_for() -> None:
    """Accept-Encoding names what we can bound, and we say who we are."""
    with Recorder([GOOD]) as server, door(server.origin) as transport:
        read(transport, server.origin)

    assert server.requests[0].header("Accept-Encoding") == "gzip"
    assert (server.requests[0].header("User-Agent") or "").startswith("lti-rosters/")


def test_headers_without_end_are_refused() -> None:
    """Headers of megabytes are no answer, and take no memory."""
    raw = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3_000_000
    with (
        Recorder(always(Reply(raw=raw))) as server,
        door(server.origin, max_attempts=1) as transport,
        pytest.raises((MalformedError, UnreachableError)),
    ):
        read(transport, server.origin)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"<html>hello</html>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\nLink: <x>; rel=next\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    ],
    ids=["status", "html", "header", "negative length", "two lengths", "chunk size"],
)
def test_what_is_not_http_is_malformed(raw: bytes) -> None:
    """An answer that breaks the rules of HTTP is never read half: a Link might be lost in it (E77)."""
    with (
        Recorder(always(Reply(raw=raw))) as server,
        door(server.origin, max_attempts=2) as transport,
        pytest.raises(MalformedError, match="not HTTP"),
    ):
        read(transport, server.origin)

    assert len(server.requests) == 2


@pytest.mark.parametrize("token", ["a\r\nX-Mine: 1", "a\nX-Mine: 1", "a\0", " a", "a "])
def test_a_token_is_no_header_of_the_platforms_choosing(token: str) -> None:
    """What a token endpoint gave goes into a header as it is, or the request is not made (RFC 9110 §5.5)."""
    with (
        Recorder(always(GOOD)) as server,
        door(server.origin) as transport,
        pytest.raises(MalformedError, match="cannot be asked"),
    ):
        transport.exchange(Call("GET", server.origin, lambda: {"x-token": token}), effort())

    assert server.requests == []


# Redirects and targets


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/b?x=1", "b?x=1", "//{host}/b?x=1", "http://{host}/b?x=1"])
def test_redirect_of_a_roster_is_followed(status: int, location: str) -> None:
    """Within the registration's origins a redirect is followed, the token with it (E58)."""
    replies: list[Reply] = []
    with Recorder(replies) as server, door(server.origin) as transport:
        target = location.format(host=server.origin.removeprefix("http://"))
        replies += [Reply(status, [("Location", target)]), GOOD]
        answer = read(transport, server.origin + "/a")

    assert answer.url == server.origin + "/b?x=1"
    assert [request.target for request in server.requests] == ["/a", "/b?x=1"]
    assert server.requests[1].header("Authorization") == server.requests[0].header("Authorization")


@pytest.mark.parametrize("status", [307, 308])
def test_redirect_of_a_token_request_keeps_its_content(status: int) -> None:
    """307 and 308 repeat the POST (RFC 9110 §15.4)."""
    replies = [Reply(status, [("Location", "/b")]), GOOD]
    with Recorder(replies) as server, door(server.origin) as transport:
        transport.exchange(post(server.origin, b"form"), effort())

    assert [(request.method, request.body) for request in server.requests] == [("POST", b"form")] * 2


@pytest.mark.parametrize("status", [301, 302, 303])
def test_other_redirects_of_a_token_request_are_not_followed(status: int) -> None:
    """A POST is never made a GET: the answer is handed on as it is."""
    with Recorder([Reply(status, [("Location", "/b")])]) as server, door(server.origin) as transport:
        assert transport.exchange(post(server.origin), effort()).status == status


def test_redirects_in_a_ring_are_looped() -> None:
    """Redirects that do not end are given up after five."""
    with (
        Recorder(always(Reply(302, [("Location", "/again")]))) as server,
        door(server.origin) as transport,
        pytest.raises(LoopedError),
    ):
        read(transport, server.origin)

    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "location", ["http://[", "http://a:port/", "https://\\@x/", "javascript:alert(1)", "file:///etc/passwd"]
)
def test_redirect_to_no_url_is_refused(location: str) -> None:
    """A Location that is no URL fails the roster, and is no bug (E58)."""
    with (
        Recorder([Reply(302, [("Location", location)])]) as server,
        door(server.origin) as transport,
        pytest.raises((MalformedError, OtherHostError)),
    ):
        read(transport, server.origin)


@pytest.mark.parametrize(
    "target",
    [
        "/Path/Mixed?Page=AbC",
        "/a%2fb%2FB?c=%7e",
        "/x?bookmark=a,b;c=d",
        "/x?ids[]=1&q={y}|z^`",
        "/x?q='\"<>",
        "/a/../b//c/./d",
        "/x?",
        "/x?a=1&a=1&&b",
        "?page=2",
    ],
)
def test_targets_are_sent_as_written(target: str) -> None:
    """A next link goes out byte for byte: no escape, case, dot or order is changed (E56)."""
    with Recorder([GOOD]) as server, door(server.origin) as transport:
        read(transport, server.origin + target + "#part")

    assert server.requests[0].target == (target if target.startswith("/") else "/" + target)


def test_letters_beyond_ascii_are_escaped() -> None:
    """What HTTP cannot carry is escaped as UTF-8, the rest stays."""
    with Recorder([GOOD]) as server, door(server.origin) as transport:
        read(transport, server.origin + "/kürs?q=日[]")

    assert server.requests[0].target == "/k%C3%BCrs?q=%E6%97%A5[]"


def test_plain_http_on_an_https_port() -> None:
    """A platform that speaks plain HTTP on an https port is unreachable, not a bug."""
    with Recorder(always(GOOD)) as server:
        url = server.origin.replace("http:", "https:")
        with door(url, max_attempts=1, timeout=0.3) as transport, pytest.raises(UnreachableError):
            read(transport, url)


def test_many_threads_share_a_transport() -> None:
    """Threads get the answers to their own requests."""
    echo = lambda request: json_reply(request.target.encode())  # noqa: E731
    with Recorder(echo) as server, door(server.origin, stop=threading.Event()) as transport:
        answers = at_once(8, lambda n: [read(transport, f"{server.origin}/{n}-{i}").body for i in range(10)])

    assert answers == [[b"/%d-%d" % (n, i) for i in range(10)] for n in range(8)]


def test_long_host_is_shortened_in_errors() -> None:
    """A link's host may be of any length; a message shows its beginning."""
    away = Reply(302, [("Location", f"https://{'a.' * 4000}example/")])
    with (
        Recorder([away]) as server,
        door(server.origin) as transport,
        pytest.raises(OtherHostError) as raised,
    ):
        read(transport, server.origin)

    assert len(str(raised.value)) < 300

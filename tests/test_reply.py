"""One response from its bytes, however they are cut: nothing lost, nothing taken that another reader would not."""

import gc
import sys
import weakref
from typing import Any

import h11
import httpcore
import pytest

from lti_rosters.web.fields import Fields
from lti_rosters.web.reply import MOST_HEAD, Reply

OK = b"HTTP/1.1 200 OK\r\n"
LINK = b'Link: <https://lms.example/c?p=2>; rel="next"\r\n'
SIZE = b"Content-Length: 2\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n"

READ = {
    "a length": OK + LINK + SIZE + b"\r\nhi",
    "an empty header before the link": OK + b"X-Empty:\r\n" + LINK + b"X-Blank: \r\n" + SIZE + b"\r\nhi",
    "two links": OK + LINK + b"Link: </d>; rel=differences\r\n" + SIZE + b"\r\nhi",
    "a folded link": OK + b"Link: </c?p=2>;\r\n  rel=next\r\n" + SIZE + b"\r\nhi",
    "bare line feeds": b"HTTP/1.1 200 OK\nLink: </c?p=2>; rel=next\nContent-Length: 2\n\nhi",
    "letters beyond ASCII": OK + "Link: </é>; rel=next\r\n".encode() + SIZE + b"\r\nhi",
    "blanks around a value": OK + b"Link:  \t </c?p=2>; rel=next \t\r\n" + SIZE + b"\r\nhi",
    "chunks": OK + LINK + CHUNKS + b"\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
    "chunks with extensions": OK + CHUNKS + b"\r\n2;a=b\r\nhi\r\n0\r\nX-After: 1\r\n\r\n",
    "chunks with blanks behind their size": OK + CHUNKS + b"\r\n2  \r\nhi\r\n0\r\n\r\n",
    "a length beside chunks": OK + b"Content-Length: 99\r\n" + CHUNKS + b"\r\n2\r\nhi\r\n0\r\n\r\n",
    "the end of the connection": OK + LINK + b"\r\nhi",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + LINK + b"\r\nhi",
    "HTTP/1.0 kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + SIZE + b"\r\nhi",
    "closed behind it": OK + b"Connection: close\r\n" + SIZE + b"\r\nhi",
    "no content": b"HTTP/1.1 204 No Content\r\n" + LINK + b"\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 20\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\n" + SIZE + b"\r\nhi",
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </style>; rel=next\r\n\r\n" + OK + SIZE + b"\r\nhi",
    "an offer to upgrade": OK + b"Upgrade: h2\r\nConnection: Upgrade, Keep-Alive\r\n" + SIZE + b"\r\nhi",
    "more behind it": OK + SIZE + b"\r\nhi" + OK + b"Link: </another's>; rel=next\r\n" + SIZE + b"\r\nyo",
    "rubbish behind it": OK + SIZE + b"\r\nhi\0\0",
    "rubbish behind the last": OK + b"Connection: close\r\n" + SIZE + b"\r\nhi\0\0",
}
REFUSED = {
    "no header": OK + b"no colon here\r\n" + LINK + b"\r\n",
    "a blank in a name": OK + b"Li nk: </x>; rel=next\r\n" + SIZE + b"\r\nhi",
    "a blank behind a name": OK + b"Link : </x>; rel=next\r\n" + SIZE + b"\r\nhi",
    "NUL": OK + b"Link: </x\0>; rel=next\r\n" + SIZE + b"\r\nhi",
    "two lengths": OK + SIZE + b"Content-Length: 3\r\n\r\nhi!",
    "no number": OK + b"Content-Length: +2\r\n\r\nhi",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "no protocol": b"ICY 200 OK\r\n\r\n",
    "a carriage return in a value": OK + b"Link: </x>\r; rel=next\r\n" + SIZE + b"\r\nhi",
    "a chunk without a size": OK + CHUNKS + b"\r\nzz\r\nhi\r\n0\r\n\r\n",
}
CUT = {
    "nothing": b"",
    "in its headers": OK + LINK,
    "in its body": OK + SIZE + b"\r\nh",
    "in a body of HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + SIZE + b"\r\nh",
    "in a last body": OK + b"Connection: close\r\n" + SIZE + b"\r\nh",
    "in a chunk": OK + CHUNKS + b"\r\n2\r\nh",
    "before the last chunk": OK + CHUNKS + b"\r\n2\r\nhi\r\n",
    "behind early hints": b"HTTP/1.1 103 Early Hints\r\n\r\n",
}

Told = tuple[int, list[tuple[bytes, bytes]], bytes]


def told(raw: bytes, step: int) -> tuple[int, list[tuple[bytes, bytes]], bytes, bool]:
    """Status, headers and body of *raw*, fed *step* bytes at a time, and whether the connection can be used again."""
    reply, body = Reply(), b""
    for start in range(0, len(raw), step):
        reply.feed(raw[start : start + step])
        body += b"".join(reply.taken())
    if not reply.is_done:
        reply.feed(b"")
    headers = [(name.lower(), value) for name, value in reply.headers]
    return reply.status, headers, body + b"".join(reply.taken()), reply.is_reusable


def told_by_h11(raw: bytes) -> Told:
    """The same as another library has it."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "lms.example")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(raw)
    status, headers, body = 0, [], b""
    event: Any = None
    while not isinstance(event, h11.EndOfMessage):
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(b"")
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, [*event.headers]
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
    return status, headers, body


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("raw", READ.values(), ids=READ)
def test_what_is_read_is_what_another_library_reads(raw: bytes, step: int) -> None:
    """Status, body and every header, the ways included in which servers get HTTP wrong without a doubt about it."""
    status, headers, body, _ = told(raw, step)
    expected = told_by_h11(raw)

    folded = [(name, value.replace(b";  ", b"; ")) for name, value in headers]
    known = [(name, value) for name, value in folded if name != b"content-length"]
    assert status == expected[0]
    assert known == [(name, value) for name, value in expected[1] if name != b"content-length"]
    assert body == expected[2]


def test_a_connection_is_used_again_where_that_is_safe() -> None:
    """Its end is known and nothing came behind it: else the next response might be another's."""
    last = {"the end of the connection", "HTTP/1.0", "closed behind it"}
    last |= {"more behind it", "rubbish behind it", "rubbish behind the last"}
    assert {name for name, raw in READ.items() if not told(raw, 10_000)[3]} == last


@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_what_is_not_http_is_refused(raw: bytes, step: int) -> None:
    """A header that cannot be read may be the link to the next page."""
    with pytest.raises(httpcore.RemoteProtocolError, match="not HTTP"):
        told(raw, step)


@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize("raw", CUT.values(), ids=CUT)
def test_what_breaks_off_is_never_whole(raw: bytes, step: int) -> None:
    """Whether the end was meant is told by a length or the last chunk, where there is one."""
    with pytest.raises(httpcore.RemoteProtocolError, match=r"disconnected|closed connection"):
        told(raw, step)


def test_headers_are_bounded() -> None:
    """Headers without an end are refused, announcements before them included."""
    hints = b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"
    for raw in (OK + b"X: " + b"x" * MOST_HEAD, hints * (1 + MOST_HEAD // len(hints))):
        with pytest.raises(httpcore.RemoteProtocolError, match="not HTTP"):
            told(raw, 1_000)


def test_headers_are_found_in_whatever_case_and_read_as_they_were_meant() -> None:
    """UTF-8, else Latin-1; a name that came twice is one list, and each of its values can be had."""
    fields = Fields(
        [(b"LINK", b"<a>; rel=next"), (b"Link", "<é>".encode()), (b"x-old", "Zürich".encode("latin-1"))]
    )

    assert fields["link"] == fields.get("Link") == "<a>; rel=next, <é>"
    assert fields.get_list("LINK") == ["<a>; rel=next", "<é>"]
    assert (fields["X-Old"], fields.get("date", "none"), fields.get_list("date")) == ("Zürich", "none", [])
    assert ("LINK" in fields, "date" in fields, [*fields], len(fields)) == (True, False, ["link", "x-old"], 2)


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
def test_a_reply_that_is_done_with_is_no_garbage() -> None:
    """Garbage is collected seldom in a run: a reply and its parser would stay for every page that was read."""
    reply = Reply()
    reply.feed(OK + SIZE + b"\r\nhi")
    seen = weakref.ref(reply)

    gc.disable()
    try:
        reply.close()
        reply.close()
        del reply
        assert seen() is None
    finally:
        gc.enable()

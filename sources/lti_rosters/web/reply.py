"""One response of HTTP/1.1, read from the bytes that come: strict where a header could be lost (RFC 9112)."""

from collections.abc import Mapping

import httpcore
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MOST_HEAD = 100_000  # bytes of status line and headers, interim responses included
# What servers get away with, and what changes nothing of what is read: folded headers, a bare line feed, a chunk's
# size with blanks behind it, a length beside chunks (RFC 9112 §6.3: the chunks count).
LENIENT: Mapping[str, bool] = {
    "lenient_headers": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
    "lenient_chunked_length": True,
}
BLANKS = b" \t"
DAMAGED = "an answer that is not HTTP"


class Reply:
    """The response to one request, complete when `is_done`; `status` is 0 until its headers are in.

    Both parts are callbacks of the parser, which knows the framing; interim responses (1xx) are passed over.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_done = False
        self.is_reusable = False  # whether the connection may carry another request
        self._chunks: list[bytes] = []
        self._size = 0
        self._is_bounded = False  # by a length or by chunks; else the end of the connection ends the body
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**LENIENT)

    def feed(self, raw: bytes) -> None:
        """Take what came; nothing is the end of the connection. Raises httpcore.RemoteProtocolError."""
        if not raw:
            self._end()
            return
        try:
            self._parser.feed_data(raw)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.is_done:  # else it is what came behind a complete response
                raise httpcore.RemoteProtocolError(DAMAGED) from error
            self.is_reusable = False
        self._size += len(raw)
        if not self.status and self._size > MOST_HEAD:
            raise httpcore.RemoteProtocolError(DAMAGED)

    def taken(self) -> list[bytes]:
        """The pieces of the body that have come since the last time."""
        chunks, self._chunks = self._chunks, []
        return chunks

    def close(self) -> None:
        """Let go of the parser: it and the reply hold each other, and garbage is collected seldom."""
        vars(self).pop("_parser", None)

    def _end(self) -> None:
        self.is_reusable = False
        if not self.status:
            raise httpcore.RemoteProtocolError("Server disconnected without sending a response.")
        if self._is_bounded and not self.is_done:
            raise httpcore.RemoteProtocolError("peer closed connection without sending all of the body")
        self.is_done = True

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A second response to one request: nobody can tell whose the next one would be."""
        if self.is_done:
            self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those behind the body (RFC 9112 §7.1.2) say nothing that is used."""
        if b"\0" in value or b"\r" in value:
            raise ValueError("a control character in a header")
        if not self.status:
            self.headers.append((name, value.strip(BLANKS)))

    def on_headers_complete(self) -> None:
        """The headers are in: of the response, or of one that only announces it (RFC 9110 §15.2)."""
        if self.is_done:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
            return
        self.status = status
        self.is_reusable = self._parser.should_keep_alive()
        self._is_bounded = self.is_reusable or any(map(_is_bound, self.headers))

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self.is_done:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """The end of the response."""
        self.is_done = self.is_done or self.status > 0


def _is_bound(header: tuple[bytes, bytes]) -> bool:
    name = header[0].lower()
    return name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in header[1].lower())

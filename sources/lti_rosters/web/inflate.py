"""Bodies as they come off the wire, decoded piece by piece: never too much, never cut unnoticed."""

import zlib
from typing import Protocol

GZIP_OR_ZLIB = 47  # wbits: the header tells which


class Damaged(ValueError):  # noqa: N818 - the transport makes an error of it
    """A compressed body that does not decode."""


class Decoder(Protocol):
    """Decodes the pieces of one body."""

    @property
    def is_cut(self) -> bool:
        """Whether the stream ended before its trailer."""
        ...

    def read(self, raw: bytes, most: int) -> list[bytes]:
        """Decode *raw* into chunks of *most* bytes in all; what is over is dropped."""
        ...


class _Plain:
    is_cut = False

    def read(self, raw: bytes, most: int) -> list[bytes]:
        return [raw[:most]]


class _Inflater:
    def __init__(self) -> None:
        self._engine = zlib.decompressobj(wbits=GZIP_OR_ZLIB)
        self._is_fed = False

    @property
    def is_cut(self) -> bool:
        return self._is_fed and not self._engine.eof

    def read(self, raw: bytes, most: int) -> list[bytes]:
        chunks = []
        self._is_fed = self._is_fed or bool(raw)
        while raw and most > 0:
            if self._engine.eof:
                raw = raw.lstrip(b"\0")  # some writers pad the end with zeros
                if not raw:
                    break
                self._engine = zlib.decompressobj(wbits=GZIP_OR_ZLIB)  # another member (RFC 1952 §2.2)
            try:
                chunk = self._engine.decompress(raw, most)
            except zlib.error as error:
                raise Damaged(str(error)) from error
            most -= len(chunk)
            chunks.append(chunk)
            raw = self._engine.unused_data or self._engine.unconsumed_tail
        return chunks


def decoder(coding: str) -> Decoder | None:
    """The decoder for a Content-Encoding; None for one that was not asked for.

    Several codings on one body are how decompression bombs are built, so a list is not decoded.
    """
    name = coding.strip().lower()
    if name in ("", "identity"):
        return _Plain()
    if name in ("gzip", "x-gzip", "deflate"):
        return _Inflater()
    return None

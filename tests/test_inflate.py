"""Bodies as they come off the wire: decoded whole, bounded, never cut unnoticed (E137)."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_rosters.web.inflate import Damaged, decoder

TEXT = b'{"members": []}' * 50
MUCH = 10**9  # bytes; more than any body here


def decoded(coding: str, *pieces: bytes, most: int = MUCH) -> tuple[bytes, bool]:
    """What *pieces* decode to, and whether the end is missing."""
    reader = decoder(coding)
    assert reader is not None
    found = b"".join(chunk for piece in pieces for chunk in reader.read(piece, most))
    return found, reader.is_cut


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_plain_bodies_stay(coding: str) -> None:
    """A body in no coding is as it came, and is never called cut: its length is the transport's to check."""
    assert decoded(coding, TEXT[:9], TEXT[9:]) == (TEXT, False)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP ", "deflate"])
def test_zipped_bodies_are_decoded(coding: str) -> None:
    """Either container is read under either name: the header of the stream tells which it is."""
    assert decoded(coding, gzip.compress(TEXT)) == (TEXT, False)
    assert decoded(coding, zlib.compress(TEXT)) == (TEXT, False)


@given(st.binary(max_size=400), st.lists(st.integers(1, 40), max_size=20), st.integers(0, 400))
def test_pieces_do_not_matter(body: bytes, sizes: list[int], split: int) -> None:
    """However the bytes come in, and in however many gzip members, the body is the same."""
    raw = gzip.compress(body[:split]) + gzip.compress(body[split:])
    pieces = []
    for size in sizes:
        pieces.append(raw[:size])
        raw = raw[size:]

    assert decoded("gzip", *pieces, raw) == (body, False)


@pytest.mark.parametrize("raw", [gzip.compress(TEXT), zlib.compress(TEXT)], ids=["gzip", "zlib"])
def test_every_cut_is_seen(raw: bytes) -> None:
    """A stream that ends anywhere before its last byte is cut."""
    for end in range(1, len(raw)):
        reader = decoder("gzip")
        assert reader is not None
        reader.read(raw[:end], MUCH)
        assert reader.is_cut, end


def test_cut_second_member_is_seen() -> None:
    """A second gzip member that breaks off is cut, though the first was whole."""
    assert decoded("gzip", gzip.compress(TEXT) + gzip.compress(TEXT)[:-3])[1]


def test_zeros_behind_the_end_are_overlooked() -> None:
    """Padding with zeros is no further member."""
    assert decoded("gzip", gzip.compress(TEXT) + b"\0" * 7, b"\0\0") == (TEXT, False)


@pytest.mark.parametrize(
    "raw",
    [b"{}", b"<html>", gzip.compress(TEXT) + b"junk", gzip.compress(TEXT)[:-8] + b"\0" * 8],
    ids=["json", "html", "junk behind", "wrong checksum"],
)
def test_damage_is_said(raw: bytes) -> None:
    """What does not decode, or not to its own checksum, raises Damaged."""
    with pytest.raises(Damaged):
        decoded("gzip", raw)


def test_empty_body_under_a_coding_is_whole() -> None:
    """No byte at all is not a stream that was cut (a 204 may bear the header)."""
    assert decoded("gzip") == (b"", False)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "gzip,identity", "deflate, gzip"])
def test_other_codings_are_refused(coding: str) -> None:
    """What was not asked for, and codings upon each other, have no decoder."""
    assert decoder(coding) is None


def test_bomb_takes_no_memory() -> None:
    """Of 50 MB in 50 kB only as much is unpacked as was asked for."""
    bomb = zlib.compressobj(9, wbits=31)
    raw = b"".join(bomb.compress(bytes(1_000_000)) for _ in range(50)) + bomb.flush()
    reader = decoder("gzip")
    assert reader is not None

    tracemalloc.start()
    found = sum(map(len, reader.read(raw, 100_000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found == 100_000
    assert peak < 2_000_000

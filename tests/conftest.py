"""Fixtures for end-to-end tests: the tool's key, and a school with a platform and a warehouse."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from lti_rosters.keys import signing
from lti_rosters.keys.signing import SigningKey, new_key

pytest.register_assert_rewrite("school", "play", "replies")  # their asserts tell as much as a test's own

from school import School  # noqa: E402 - after the line above

# OpenSSL examines a key whenever it is read, for 37 ms; every run of a test reads the same one. The same text gives
# the same key, and what is refused is examined again.
signing.serialization.load_pem_private_key = functools.cache(  # type: ignore[assignment]
    signing.serialization.load_pem_private_key
)


@pytest.fixture(scope="session")
def tool_key() -> SigningKey:
    """The tool's key pair, made once: making one takes longer than most tests."""
    return new_key()


@pytest.fixture
def school(tool_key: SigningKey, tmp_path: Path) -> Iterator[School]:
    """A school with one Canvas-like platform, registered as `canvas`, asked at most twice for everything."""
    with School(tmp_path / "school", tool_key) as school:
        school.open("canvas", max_attempts=2)
        yield school

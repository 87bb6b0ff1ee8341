"""Fixtures for end-to-end tests: the tool's key, and a school with a platform and a warehouse."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lti_rosters.keys.signing import SigningKey, new_key
from lti_rosters.rosters.collection import collect_rarely

pytest.register_assert_rewrite("school", "play", "replies")  # their asserts tell as much as a test's own

import shortcuts  # noqa: E402 - after the line above
from school import School  # noqa: E402 - likewise

shortcuts.in_dlt()
shortcuts.when_dbt_comes()

collect_rarely()  # as the commands do: a fifteenth of what the tests of the models take


if "FEW_EXAMPLES" in os.environ:  # CI, with all Pythons but one
    from hypothesis import settings

    settings.register_profile("few", max_examples=20)
    settings.load_profile("few")


def pytest_collection_finish() -> None:
    """Have the collector pass over modules and tests: they stay."""
    gc.freeze()


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

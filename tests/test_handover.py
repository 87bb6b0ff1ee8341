"""What threads hand over comes out in order and soon enough, and holds them back when it is too much."""

import threading
import time
from datetime import UTC, datetime

import pytest

from lti_rosters.providers.container import Member
from lti_rosters.rosters.handover import ENOUGH, FEWEST, MOST, Handover
from lti_rosters.rosters.roster import Reading, Roster
from lti_rosters.rosters.sync import COMPLETE, FAILED, UNAVAILABLE, Sync
from lti_rosters.tables.ledger import ContextFacts
from patience import PATIENCE

LONG = 2 * PATIENCE  # seconds: nothing here waits that long unless it is wrong
SOMEBODY = (Member("u", "Active", (), *[None] * 10), "hash")


def sync(members: int = 0, outcome: str = COMPLETE, *, stays: int | None = None) -> Sync:
    """A sync of a roster of so many, all of whom or *stays* of whom are on it."""
    facts = ContextFacts("key", "campus", "c1", None, None, None, None, datetime.now(UTC))
    reading = Reading(members={f"u{number}": SOMEBODY[0] for number in range(members)})
    rows = [SOMEBODY] * (members if stays is None else stays)
    roster = Roster(reading, rows, "hash", is_unchanged=False, readings=1)
    return Sync(facts=facts, where="c1", outcome=outcome, roster=roster if outcome == COMPLETE else None)


def test_what_is_little_waits_for_its_moment() -> None:
    """It is taken all at once, in the order in which it was put, after the seconds that were given."""
    handover = Handover()
    put = [sync(number) for number in range(5)]
    for each in put:
        handover.put(each)

    began = time.monotonic()
    assert [*handover.take(0.2)] == put
    assert 0.15 < time.monotonic() - began < PATIENCE
    assert not handover.take(0.0)


@pytest.mark.parametrize(
    "last",
    [sync(ENOUGH), sync(outcome=FAILED), None, ValueError("broken")],
    ids=lambda each: type(each).__name__,
)
def test_what_is_much_or_urgent_is_taken_at_once(last: Sync | BaseException | None) -> None:
    """Enough members, a failure, the end of a crew and an error wake whoever waits."""
    handover = Handover()
    handover.put(sync(1))
    taken: list[object] = []
    taker = threading.Thread(target=lambda: taken.extend(handover.take(LONG)), daemon=True)
    taker.start()
    handover.put(last)
    taker.join(PATIENCE)

    assert not taker.is_alive()
    assert taken[-1] is last


@pytest.mark.parametrize(
    ("each", "fits"),
    [
        pytest.param(sync(MOST), FEWEST, id="large rosters, by their number"),
        pytest.param(sync(), MOST, id="empty ones"),
        pytest.param(sync(outcome=UNAVAILABLE), MOST, id="none"),
        pytest.param(sync(MOST, stays=1), FEWEST, id="many members of whom few stay"),
    ],
)
def test_too_much_holds_back_who_reads(each: Sync, fits: int) -> None:
    """A reader waits until something is taken: what is in memory stays bounded. The end of a crew never waits."""
    handover = Handover()
    for _ in range(fits):
        handover.put(each)
    reader = threading.Thread(target=handover.put, args=(each,), daemon=True)
    reader.start()
    reader.join(0.2)

    assert reader.is_alive()
    handover.put(None)
    while reader.is_alive():
        assert handover.take(0.0)
        reader.join(0.1)


@pytest.mark.parametrize(
    ("members", "handful"), [(MOST, 1), (ENOUGH - 1, 1), (ENOUGH // 2, 2), (99, ENOUGH // 100)]
)
def test_a_handful_is_no_more_than_enough(members: int, handful: int) -> None:
    """Of what waits so much is taken that there is something to do: what is taken is held, too."""
    handover = Handover()
    put = [sync(members) for _ in range(handful + 1)]
    for each in put:
        handover.put(each)

    assert [*handover.take(0.0)] == put[:handful]
    assert [*handover.take(0.0)] == put[handful:]


def test_closing_lets_everybody_go() -> None:
    """Nobody takes anything any more, so nobody waits for room."""
    handover = Handover()
    for _ in range(FEWEST):
        handover.put(sync(MOST))
    reader = threading.Thread(target=handover.put, args=(sync(),), daemon=True)
    reader.start()
    handover.close()
    reader.join(PATIENCE)

    assert not reader.is_alive()
    handover.put(sync(MOST))
    assert not handover.take(0.0)


def test_it_knows_how_long_the_taker_was_at_work() -> None:
    """From what was taken to the next taking; not while it waits for more."""
    handover = Handover()
    handover.take(0.2)
    assert handover.at_work() < 0.1
    time.sleep(0.2)
    at_work = handover.at_work()
    handover.take(0.2)

    assert 0.2 <= at_work <= handover.at_work()

"""What threads hand over comes out in order and soon enough, and holds them back when it is too much."""

import threading
import time
from datetime import UTC, datetime

import pytest

from lti_rosters.providers.container import Member
from lti_rosters.rosters.handover import ENOUGH, FEWEST, MOST, Handover
from lti_rosters.rosters.roster import Reading, Roster
from lti_rosters.rosters.sync import COMPLETE, FAILED, Sync
from lti_rosters.tables.ledger import ContextFacts

LONG = 30.0  # seconds: nothing here waits that long unless it is wrong
SOON = 5.0
SOMEBODY = (Member("u", "Active", (), *[None] * 10), "hash")


def sync(members: int = 0, outcome: str = COMPLETE) -> Sync:
    """A sync of a roster of so many."""
    facts = ContextFacts("key", "campus", "c1", None, None, None, None, datetime.now(UTC))
    roster = Roster(Reading(), [SOMEBODY] * members, "hash", is_unchanged=False, readings=1)
    return Sync(facts=facts, where="c1", outcome=outcome, roster=roster if outcome == COMPLETE else None)


def test_what_is_little_waits_for_its_moment() -> None:
    """It is taken all at once, in the order in which it was put, after the seconds that were given."""
    handover = Handover()
    put = [sync(number) for number in range(5)]
    for each in put:
        handover.put(each)

    began = time.monotonic()
    assert handover.take(0.2) == put
    assert 0.15 < time.monotonic() - began < SOON
    assert handover.take(0.0) == []


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
    taker.join(SOON)

    assert not taker.is_alive()
    assert taken[-1] is last


@pytest.mark.parametrize(
    ("members", "fits"),
    [(MOST, FEWEST), (0, MOST)],
    ids=["large rosters by their number", "small ones by their members"],
)
def test_too_much_holds_back_who_reads(members: int, fits: int) -> None:
    """A reader waits until something is taken: what is in memory stays bounded."""
    handover = Handover()
    for _ in range(fits):
        handover.put(sync(members))
    reader = threading.Thread(target=handover.put, args=(sync(),), daemon=True)
    reader.start()
    reader.join(0.2)

    assert reader.is_alive()
    assert len(handover.take(0.0)) == fits
    reader.join(SOON)
    assert not reader.is_alive()
    assert len(handover.take(0.0)) == 1


def test_closing_lets_everybody_go() -> None:
    """Nobody takes anything any more, so nobody waits for room."""
    handover = Handover()
    for _ in range(FEWEST):
        handover.put(sync(MOST))
    reader = threading.Thread(target=handover.put, args=(sync(),), daemon=True)
    reader.start()
    handover.close()
    reader.join(SOON)

    assert not reader.is_alive()
    handover.put(sync(MOST))
    assert handover.take(0.0) == []


def test_it_knows_how_long_the_taker_was_at_work() -> None:
    """From what was taken to the next taking; not while it waits for more."""
    handover = Handover()
    handover.take(0.2)
    assert handover.at_work() < 0.1
    time.sleep(0.2)
    at_work = handover.at_work()
    handover.take(0.2)

    assert 0.2 <= at_work <= handover.at_work()

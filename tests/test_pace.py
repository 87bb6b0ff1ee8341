"""How fast one registration is asked (E128 to E132)."""

import threading
import time
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from door import Hurry, at_once
from lti_rosters.errors import Interrupted
from lti_rosters.web.pace import Held, Pace
from patience import PATIENCE

FAR = float("inf")


def paced(most: int = 8) -> tuple[Pace, Hurry]:
    """A pace whose clock is put on by the event's `wait`."""
    stop = Hurry()
    return Pace(most, stop=stop, clock=stop.clock), stop


def ticket_of(pace: Pace, patience: float = 300.0, deadline: float = FAR) -> int:
    """Take a turn and give it back."""
    with pace.turn(patience, deadline) as ticket:
        return ticket


def test_no_more_at_once_than_allowed() -> None:
    """However many threads want a turn, no more than the limit hold one."""
    pace = Pace(3, stop=threading.Event())
    lock = threading.Lock()
    inside, peak = 0, 0

    def work(_: int) -> None:
        nonlocal inside, peak
        for _ in range(5):
            with pace.turn(0, FAR):
                with lock:
                    inside += 1
                    peak = max(peak, inside)
                time.sleep(0.001)
                with lock:
                    inside -= 1

    at_once(12, work)

    assert peak == 3


def test_throttles_of_one_round_halve_once() -> None:
    """Eight requests that were under way together and all throttled halve the limit once, not eight times."""
    pace, _ = paced()
    with ExitStack() as turns:
        tickets = [turns.enter_context(pace.turn(0, FAR)) for _ in range(8)]

    for ticket in tickets:
        pace.throttled(ticket)

    assert pace.limit == 4


def test_throttle_of_a_later_round_halves_again() -> None:
    """A request that began after the halving and is throttled as well halves once more, down to one."""
    pace, _ = paced()
    limits = []
    for _ in range(5):
        pace.throttled(ticket_of(pace))
        limits.append(pace.limit)

    assert limits == [4, 2, 1, 1, 1]


def test_limit_grows_back_by_one_a_round() -> None:
    """As many good answers as the limit make it one more, up to where it began."""
    pace, _ = paced(4)
    pace.throttled(ticket_of(pace))
    pace.throttled(ticket_of(pace))
    limits = []
    for _ in range(12):
        pace.served(None)
        limits.append(pace.limit)

    assert limits == [2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]


def test_growth_wakes_who_waits() -> None:
    """A turn that becomes free by growth is taken at once, while the others are still held."""
    pace = Pace(2, stop=threading.Event())
    pace.throttled(ticket_of(pace))
    entered = threading.Event()

    def second() -> None:
        with pace.turn(0, FAR):
            entered.set()

    with pace.turn(0, FAR):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.is_set()
        pace.served(None)
        assert entered.wait(PATIENCE)
    thread.join(PATIENCE)


def test_hold_holds_everybody() -> None:
    """Nobody gets a turn before the time that was told is over."""
    pace = Pace(8, stop=threading.Event())
    begun = time.monotonic()
    pace.hold(0.2, is_told=True)

    at_once(3, lambda _: ticket_of(pace))

    assert time.monotonic() - begun >= 0.2


def test_shorter_hold_does_not_shorten() -> None:
    """Of two waits the longer counts."""
    pace, _ = paced()
    pace.hold(100, is_told=True)
    pace.hold(1, is_told=True)

    with pytest.raises(Held) as held:
        ticket_of(pace, patience=10)
    assert 99 < held.value.seconds <= 100


def test_sent_away_three_times_in_a_row() -> None:
    """One answer between begins the count anew."""
    pace, _ = paced()
    for _ in range(5):
        pace.send_away(3600)
        pace.send_away(3600)
        assert ticket_of(pace) == 0
        pace.served(None)
    for _ in range(3):
        pace.send_away(3600)

    with pytest.raises(Held):
        ticket_of(pace)


def test_longer_wait_than_patience_is_refused_at_once() -> None:
    """Where the platform wants an hour of peace nobody asks it, and nobody waits for the hour."""
    pace, stop = paced()
    pace.hold(3600, is_told=True)

    with pytest.raises(Held):
        ticket_of(pace, patience=300)
    stop.wait(3500)
    pace.hold(0, is_told=False)
    with pytest.raises(Held):
        ticket_of(pace, patience=10)
    stop.wait(101)
    assert ticket_of(pace, patience=10) == 0


def test_wait_beyond_the_deadline_is_refused_at_once() -> None:
    """A told wait that ends after the roster's time is not begun."""
    pace, stop = paced()
    pace.hold(100, is_told=True)

    with pytest.raises(Held):
        ticket_of(pace, deadline=stop.clock() + 50)


def test_own_pause_is_no_refusal() -> None:
    """A pause of our own is waited for, whatever max_wait says."""
    pace = Pace(8, stop=threading.Event())
    pace.hold(0.05, is_told=False)

    assert ticket_of(pace, patience=0) == 0


def test_deadline_ends_the_wait_for_a_turn() -> None:
    """Who gets no turn in time hears so."""
    pace = Pace(1, stop=threading.Event())

    with pace.turn(0, FAR), pytest.raises(TimeoutError):
        ticket_of(pace, deadline=time.monotonic())


def test_stop_ends_the_wait_for_a_turn() -> None:
    """An interrupt reaches who waits for a turn."""
    stop = threading.Event()
    pace = Pace(1, stop=stop)
    with pace.turn(0, FAR):
        timer = threading.Timer(0.05, stop.set)
        timer.start()
        with pytest.raises(Interrupted):
            ticket_of(pace)
        timer.join()


def test_turn_is_given_back_after_a_failure() -> None:
    """An error inside a turn frees it."""
    pace, _ = paced(1)
    with pytest.raises(ValueError, match="x"), pace.turn(0, FAR):
        raise ValueError("x")

    assert ticket_of(pace) == 0


@pytest.mark.parametrize(
    ("units", "limit"), [(600.0, 8), (450.0, 8), (449.0, 8), (200.0, 4), (60.0, 1), (0.0, 1)]
)
def test_limit_fits_what_the_bucket_holds(units: float, limit: int) -> None:
    """No more at once than the bucket can be charged for: 50 units each (E130)."""
    pace, _ = paced()
    pace.served(units)

    assert pace.limit == limit


def test_empty_bucket_makes_a_pause() -> None:
    """With less than one call left the next waits until the bucket has it again, at 10 units a second."""
    pace, stop = paced()
    pace.served(20.0)
    begun = stop.clock()
    pace_at = pace._not_before  # when the next turn may begin

    assert 2.5 < pace_at - begun <= 3.0


@given(st.lists(st.one_of(st.none(), st.floats(), st.just("throttle")), max_size=60), st.integers(1, 12))
def test_limit_stays_in_its_bounds(events: list[object], most: int) -> None:
    """Whatever platforms say, infinite and nonsensical numbers included, the limit is from 1 to the most."""
    pace, _ = paced(most)
    for event in events:
        if event == "throttle":
            pace.throttled(pace._halvings)
        else:
            pace.served(event)
        assert 1 <= pace.limit <= most

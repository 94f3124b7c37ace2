"""How often a client may ask (live API contract, section 2)."""

from __future__ import annotations

from collections import Counter

from api.live.flood import Flood, Verdict

SERVE, REFUSE, DISCONNECT = Verdict.SERVE, Verdict.REFUSE, Verdict.DISCONNECT


def asked(flood: Flood, rate: float, seconds: float, since: float = 0.0) -> list[Verdict]:
    """The verdicts on requests that come evenly."""
    return [flood.asked(since + number / rate) for number in range(round(rate * seconds))]


def test_fifty_requests_a_second_are_served_for_ever() -> None:
    assert set(asked(Flood(), 50, 60)) == {SERVE}


def test_a_burst_of_what_two_seconds_allow_is_served_and_no_more() -> None:
    flood = Flood()
    assert [flood.asked(5.0) for _ in range(101)] == [SERVE] * 100 + [REFUSE]


def test_of_too_many_requests_as_many_as_are_allowed_are_served() -> None:
    counts = Counter(asked(Flood(), 100, 8))
    assert counts[SERVE] in range(495, 505)
    assert counts[DISCONNECT] == 0


def test_ten_seconds_of_it_disconnect() -> None:
    verdicts = asked(Flood(), 100, 13)
    first = verdicts.index(REFUSE)
    assert verdicts.index(DISCONNECT) - first in range(1000, 1003)


def test_who_slows_down_is_served_again() -> None:
    flood = Flood()
    asked(flood, 1000, 1)
    assert flood.asked(1.5) is SERVE


def test_a_quiet_while_is_forgiven() -> None:
    flood, now = Flood(), 0.0
    for _ in range(5):
        assert DISCONNECT not in asked(flood, 200, 4, now)
        now += 4 + 3


def test_short_breaks_are_not() -> None:
    flood = Flood()
    verdicts = [verdict for turn in range(15) for verdict in asked(flood, 200, 0.9, float(turn))]
    assert verdicts[-1] is DISCONNECT


def test_a_clock_that_stands_still_gives_nothing() -> None:
    flood = Flood()
    assert [flood.asked(1.0) for _ in range(300)].count(SERVE) == 100

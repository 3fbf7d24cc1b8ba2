"""Whose turn it is: one at a time, each often enough, and nobody starves."""

from __future__ import annotations

from collections import Counter

from gui.rounds import Rounds

PERIOD_S = 0.044


def drawn(jobs: int, turn_s: float, seconds: float) -> tuple[list[int], Counter[str]]:
    """Jobs that always have something to do: how many a turn did, and how often each was done."""
    rounds, counts = Rounds(), Counter[str]()

    def draw(name: str) -> bool:
        counts[name] += 1
        return True

    for number in range(jobs):
        rounds.add(str(number), lambda name=str(number): draw(name), PERIOD_S)
    turns = [rounds.turn(turn * turn_s) for turn in range(round(seconds / turn_s))]
    return turns, counts


def test_one_at_a_time_and_each_more_than_twenty_times_a_second() -> None:
    turns, counts = drawn(8, 0.005, 10)
    assert max(turns[20:]) == 1
    assert set(counts) == {str(number) for number in range(8)}
    assert all(210 <= count <= 228 for count in counts.values())


def test_turns_that_come_late_do_two() -> None:
    turns, counts = drawn(8, 0.011, 10)
    assert max(turns) == 2
    assert min(counts.values()) > 180


def test_more_than_can_be_drawn_is_shared_out() -> None:
    _, counts = drawn(40, 0.005, 10)
    assert max(counts.values()) - min(counts.values()) <= 2


def test_those_with_nothing_to_do_take_no_turn() -> None:
    rounds = Rounds()
    rounds.add("idle", lambda: False, PERIOD_S)
    rounds.add("busy", lambda: True, PERIOD_S)
    assert rounds.per_second(0.0) == 0
    assert [rounds.turn(number * 0.045) for number in range(40)] == [1] * 40
    assert 22 < rounds.per_second(39 * 0.045) < 25
    assert rounds.per_second(60.0) == 0

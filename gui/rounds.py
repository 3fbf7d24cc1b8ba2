"""Whose turn it is to be drawn: a few at a time, the one that has waited longest first, so that no turn takes long."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

#: Draws that the rate is told from.
RECENT = 400
#: One that was late has its next turn after this share of its period, and so they keep apart from each other.
SOONEST = 0.8


@dataclass
class _Job:
    """``draw`` says whether there was anything to do; ``due_s``: not before then."""

    name: str
    draw: Callable[[], bool]
    period_s: float
    due_s: float = 0.0


class Rounds:
    """Jobs that come round. ``late_s``: one that is later than this is done in the same turn as the one before it."""

    def __init__(self, late_s: float = 0.015, most: int = 2) -> None:
        self._late_s = late_s
        self._most = most
        self._jobs: list[_Job] = []
        self._recent: deque[tuple[float, str]] = deque(maxlen=RECENT)

    def add(self, name: str, draw: Callable[[], bool], period_s: float) -> None:
        """One more, to be done every ``period_s`` while there is anything to do."""
        self._jobs.append(_Job(name, draw, period_s))

    def turn(self, now_s: float) -> int:
        """Do what is due: one job, and up to ``most`` where they are late. How many had anything to do."""
        done = 0
        for job in sorted((job for job in self._jobs if job.due_s <= now_s), key=lambda job: job.due_s):
            if done and (done == self._most or now_s - job.due_s < self._late_s):
                break
            if job.draw():
                done += 1
                job.due_s = max(job.due_s + job.period_s, now_s + SOONEST * job.period_s)
                self._recent.append((now_s, job.name))
        return done

    def per_second(self, now_s: float) -> float:
        """How often the one that had most to do was done, of late; 0 while there is nothing."""
        recent = [(time_s, name) for time_s, name in self._recent if time_s > now_s - 1.0]
        if not recent or recent[-1][0] <= recent[0][0]:
            return 0.0
        (_, most), *_ = Counter(name for _, name in recent).most_common(1)
        return most / (recent[-1][0] - recent[0][0])

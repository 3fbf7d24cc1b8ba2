"""Who may use a unit through HiSLIP: an exclusive lock, or one shared by those who know its name (IVI-6.1)."""

from __future__ import annotations

from typing import Final

FAILURE: Final = 0
SUCCESS: Final = 1
SUCCESS_SHARED: Final = 2
ERROR: Final = 3


class ResourceLock:
    """Answers are HiSLIP's lock response control codes. Nobody is queued: who comes too late gets FAILURE."""

    def __init__(self) -> None:
        self._exclusive: object | None = None
        self._shared: dict[object, bytes] = {}

    def request(self, who: object, name: bytes) -> int:
        """The exclusive lock, or with a ``name`` the shared one; ERROR for one that is held already."""
        if name:
            if who in self._shared or self._exclusive is who:
                return ERROR
            if self._exclusive is not None or any(held != name for held in self._shared.values()):
                return FAILURE
            self._shared[who] = name
            return SUCCESS
        if self._exclusive is who:
            return ERROR
        if self._exclusive is not None or (self._shared and who not in self._shared):
            return FAILURE
        self._exclusive = who
        return SUCCESS

    def release(self, who: object) -> int:
        """The exclusive lock first, then the shared one; ERROR when there is none."""
        if self._exclusive is who:
            self._exclusive = None
            return SUCCESS
        return ERROR if self._shared.pop(who, None) is None else SUCCESS_SHARED

    def forget(self, who: object) -> None:
        """Release all that it holds."""
        if self._exclusive is who:
            self._exclusive = None
        self._shared.pop(who, None)

    def allows(self, who: object) -> bool:
        """Whether it may use the unit."""
        if self._exclusive is not None:
            return self._exclusive is who
        return not self._shared or who in self._shared

    def info(self) -> tuple[bool, int]:
        """Whether there is an exclusive lock, and how many clients hold locks."""
        holders = set(self._shared) | ({self._exclusive} if self._exclusive is not None else set())
        return self._exclusive is not None, len(holders)

"""Numbers that come image by image, in memory that does not grow without end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Rows that are kept at most.
CAPACITY = 2**15


class Table:
    """Named columns, preallocated. When they are full every second row is left out, and from then on of what comes."""

    def __init__(self, names: Sequence[str], capacity: int = CAPACITY) -> None:
        self._names = {name: place for place, name in enumerate(names)}
        self._values = np.empty((len(names), capacity))
        self._capacity = capacity
        self._rows = 0
        self._seen = 0
        self._last: Sequence[float] | None = None
        self.stride = 1

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, name: str) -> Floats:
        """A view on the rows that are kept."""
        return self._values[self._names[name], : self._rows]

    def add(self, row: Sequence[float]) -> None:
        """One more row, which is kept if it is its turn. A row that is not, is kept until the next one comes."""
        if self._last is not None:
            self._rows -= 1
            self._last = None
        due = self._seen % self.stride == 0
        self._seen += 1
        if self._rows == self._capacity:
            self._thin()
            due = (self._seen - 1) % self.stride == 0
        self._values[:, self._rows] = row
        self._rows += 1
        if not due:
            self._last = row

    def _thin(self) -> None:
        kept = self._values[:, : self._rows : 2]
        self._rows = kept.shape[1]
        self._values[:, : self._rows] = kept.copy()
        self.stride *= 2

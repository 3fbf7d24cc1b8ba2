"""Which images count when a run is cut short: those that were finished when the whole bench was last found in order.

What happened between that check and the one that failed is not known, so images of that time are told apart: they stay
in the run file, and count in no result.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from labctl.errors import Drifted, GateError, InstrumentError, InterlockError, LabctlError
from labctl.parties.verifier import VerifierState

#: What puts images in doubt: the bench was found out of order, or an instrument does not tell whether it is.
DOUBT = (GateError, InterlockError, InstrumentError, Drifted)
#: Checks that are remembered, for gates that need several images to judge; the first one is never forgotten.
REMEMBERED = 256


@dataclass(frozen=True)
class Standing:
    """How a run stood when everything had been checked: images finished, those right, and the noise check."""

    images: int
    correct: int
    verifier: VerifierState


class Standings:
    """The checks of one run that passed. ``shots_per_image``: that each image takes."""

    def __init__(self, shots_per_image: int) -> None:
        self._shots_per_image = shots_per_image
        self._first: Standing | None = None
        self._later: deque[Standing] = deque(maxlen=REMEMBERED)
        self._rechecked: dict[str, Standing] = {}

    def passed(self, standing: Standing) -> None:
        """Everything was in order before the next image."""
        if self._first is None:
            self._first = standing
        else:
            self._later.append(standing)

    def rechecked(self, kind: str, standing: Standing) -> None:
        """A re-check found that nothing has drifted."""
        self._rechecked[kind] = standing

    def last_sure(self, error: LabctlError, images: int, shots: int) -> Standing | None:
        """The last one that ``error`` casts no doubt on; None where there is none.

        ``images``: finished; ``shots``: of the next one, done before the one that failed.
        """
        if isinstance(error, Drifted) and error.kind in self._rechecked:
            return self._rechecked[error.kind]
        spoilt = error.shots if isinstance(error, GateError) else 1
        first_image = (images * self._shots_per_image + shots + 1 - spoilt) // self._shots_per_image
        sure = (each for each in reversed(self._later) if each.images <= first_image)
        return next(sure, self._first)

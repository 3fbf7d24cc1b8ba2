"""What can be wrong with one simulated unit, as the control instrument injects it.

A unit carries at most one fault. A fault answers a few plain questions, so that a new kind is one
more line of :data:`FAULTS`, or a subclass of :class:`Fault` where it changes answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labctl.errors import ConfigError


@dataclass(frozen=True)
class Fault:
    """``breaks``: open connections are lost and new ones refused. ``deaf``: nothing is obeyed,
    nothing is answered.
    """

    name: str
    breaks: bool = False
    deaf: bool = False

    def answer(self, reply: bytes) -> bytes | None:
        """What reaches the client instead of ``reply``; None: nothing."""
        return None if self.deaf or self.breaks else reply


#: UNPLUG: the cable is pulled out. SILENT: the connection stands, but the unit neither obeys nor
#: answers.
FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for fault in (
        Fault("UNPLUG", breaks=True),
        Fault("SILENT", deaf=True),
    )
}


def fault_named(name: str) -> Fault:
    """Raises ConfigError for a name that is not in :data:`FAULTS`."""
    try:
        return FAULTS[name.upper()]
    except KeyError:
        raise ConfigError(f"there is no fault called {name!r}", f"Use one of {', '.join(sorted(FAULTS))}.") from None

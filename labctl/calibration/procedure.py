"""A procedure, and what it may know: quantities found before it, and the constants that bench.toml declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from labctl.calibration.result import Measured, Quantity, Result
from labctl.calibration.rig import Rig
from labctl.errors import CalibrationError, ConfigError


@dataclass(frozen=True)
class Known:
    """Results in force, by the procedure's name."""

    results: Mapping[str, Result]

    def __getitem__(self, name: str) -> Quantity:
        """The quantity ``name``. Raises CalibrationError where no result has it."""
        for result in self.results.values():
            for quantity in result.quantities:
                if quantity.name == name:
                    return quantity
        raise CalibrationError(f"{name} is not known", "Run the whole plan, without --only.")

    def value(self, name: str) -> float:
        """Its value alone."""
        return self[name].value


@dataclass(frozen=True)
class Procedure:
    """``needs``: procedures whose results it uses, which must have passed. ``title``: for people."""

    name: str
    title: str
    needs: Sequence[str]
    measure: Callable[[Rig, Known], Measured]


def chosen(plan: Sequence[Procedure], only: Sequence[str], fresh: Mapping[str, Result]) -> list[Procedure]:
    """The procedures to run, in the plan's order: all, or those named and what they need and has no fresh result.

    Raises ConfigError for a name that the plan does not have.
    """
    names = {procedure.name: procedure for procedure in plan}
    for name in only:
        if name not in names:
            raise ConfigError(f"there is no procedure {name!r}", f"Name some of: {', '.join(names)}.")
    if not only:
        return list(plan)
    wanted, seen = set(only), set()

    def look(name: str) -> None:
        """What it rests on, however indirectly."""
        for need in names[name].needs:
            if need not in seen:
                seen.add(need)
                if need not in fresh or not fresh[need].passed:
                    wanted.add(need)
                look(need)

    for name in only:
        look(name)
    return [procedure for procedure in plan if procedure.name in wanted]

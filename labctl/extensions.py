"""Classes that bench files name: of this project by their module, of other packages by an entry point.

A package of its own registers what it brings in its pyproject.toml::

    [project.entry-points."labctl.drivers"]
    acme_laser = "acme_lab.laser:AcmeLaser"

    [project.entry-points."labctl.simulated_units"]
    acme_laser = "acme_lab.simulated:AcmeLaser"

and a bench file then says ``driver = "acme_laser"`` and ``model = "acme_laser"``.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from typing import Final

from labctl.errors import ConfigError

DRIVERS: Final = "labctl.drivers"
SIMULATED_UNITS: Final = "labctl.simulated_units"


def registered(group: str) -> dict[str, EntryPoint]:
    """What installed packages brought into a group, by name.

    Raises ConfigError when two packages use one name: which of them would be meant, nobody could tell.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise ConfigError(
                f"{point.name!r} is registered twice in {group}: {other.value} and {point.value}",
                "Uninstall one of the two packages, or name the class as 'module:Class'.",
            )
    return found


def load(name: str, group: str) -> object:
    """What ``name`` stands for: "module:Class", or the name of an entry point of ``group``.

    Raises ConfigError when there is nothing of that name, or when it cannot be imported.
    """
    if ":" in name:
        return _resolved(name, name)
    point = registered(group).get(name)
    if point is None:
        known = ", ".join(sorted(registered(group)))
        raise ConfigError(
            f"no installed package registers {name!r} in {group}" + (f"; there are {known}" if known else ""),
            "Install the package, or name the class as 'module:Class'.",
        )
    return _resolved(point.value.partition(" [")[0], name)


def _resolved(path: str, name: str) -> object:
    try:
        return resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{name!r} cannot be imported ({error})", "Name it as 'module:Class'.") from None

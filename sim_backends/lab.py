"""A simulated lab: the world of one bench file with its instruments, shared by all in this process who open it."""

from __future__ import annotations

import threading
from pathlib import Path

from labctl.errors import ConfigError
from labctl.shipped import bench_path
from sim_backends.attacks import Attack, AttackKind
from sim_backends.config import load_world
from sim_backends.faults import fault_named
from sim_backends.sim_control import SimControl
from sim_backends.unit import Unit, open_unit
from sim_backends.world import World

CONTROL_RESOURCE = "SIM"

_labs: dict[Path, Lab] = {}
_users: dict[Path, int] = {}
_registry_lock = threading.Lock()


class Lab:
    """Units by their names in the bench file, around one world.

    One lock serves all units: a trigger reaches from one into the next. Raises ConfigError for a wrong bench file.
    """

    def __init__(self, bench_file: Path) -> None:
        config, resources = load_world(bench_file)
        self._file = bench_file
        self.lock = threading.RLock()
        self.world = World(config)
        self.units: dict[str, Unit] = {
            name: open_unit(unit.model, name, self.world, unit.options(), self.lock)
            for name, unit in config.units.items()
        }
        self.world.connect(self.units)
        self.control = SimControl(CONTROL_RESOURCE, self.world, self)
        self.control.lock = self.lock
        self._by_resource = {_key(resource): self.units[name] for name, resource in resources.items()}
        self._by_resource[CONTROL_RESOURCE] = self.control
        self._resources = list(resources.values())

    def resources(self) -> list[str]:
        """VISA resource strings of all instruments, the control instrument last."""
        return [*self._resources, CONTROL_RESOURCE]

    def by_resource(self, resource: str) -> Unit | None:
        """Who answers at this address; None: nobody."""
        return self._by_resource.get(_key(resource))

    def close(self) -> None:
        """One user less; the lab ends with its last one."""
        with _registry_lock:
            if _labs.get(self._file) is not self:
                return
            _users[self._file] -= 1
            if _users[self._file] == 0:
                del _users[self._file], _labs[self._file]

    # --- what the control instrument asks for -----------------------------------------------------

    def reset(self, seed: int) -> None:
        """Faults and draws forgotten; all noise follows from ``seed`` and the draw key."""
        self.clear_faults()
        self.world.reset(seed)

    def set_key(self, key: tuple[int, ...]) -> None:
        """Noise of the acquisitions to come depends on (seed, key, count) only."""
        self.world.set_key(key)

    def set_stepped(self, stepped: bool) -> None:
        """Time moves only by ``advance`` and by acquisitions, or with the wall's clock."""
        self.world.set_stepped(stepped)

    @property
    def stepped(self) -> bool:
        """Which of the two."""
        return self.world.stepped

    def advance(self, seconds: float) -> None:
        """Move the stepped clock."""
        self.world.advance(seconds)

    def now(self) -> float:
        """The lab's time, seconds."""
        return self.world.now()

    def set_fault(self, unit: str, fault: str) -> None:
        """Raises ConfigError for an unknown unit or fault."""
        if unit not in self.units:
            raise ConfigError(f"there is no unit {unit!r}", f"Use one of {', '.join(self.units)}.")
        self.units[unit].set_fault(fault_named(fault))

    def set_attack(self, kind: str | None, strength: float) -> None:
        """None: nobody attacks. Raises ConfigError for a strength outside its range."""
        self.world.set_attack(None if kind is None else Attack(AttackKind(kind), strength))

    def attack(self) -> tuple[str, float, int, float]:
        """Kind ("NONE": nobody attacks), strength, samples that the attacker took, and bits per mode they tell him."""
        found = self.world.attack
        if found is None:
            return "NONE", 0.0, 0, 0.0
        attack, spoils = found
        return attack.kind.value, attack.strength, spoils.samples, spoils.bits_per_mode

    def clear_faults(self) -> None:
        """All units are well again; connections that broke stay broken."""
        for unit in self.units.values():
            unit.set_fault(None)


def open_lab(bench_file: str | None = None) -> Lab:
    """The lab of a bench file (None: the shipped ideal bench); one lab per file and process, closed by ``close``."""
    path = Path(bench_file).resolve() if bench_file else shipped_bench()
    with _registry_lock:
        if path not in _labs:
            _labs[path] = Lab(path)
            _users[path] = 0
        _users[path] += 1
        return _labs[path]


def _key(resource: str) -> str:
    """Resource strings as VISA compares them: case does not matter, board 0 may be left out."""
    text = resource.strip()
    head, _, rest = text.partition("::")
    kind = head.upper()
    if rest and kind.rstrip("0123456789") in ("TCPIP", "USB", "GPIB"):
        kind = kind.rstrip("0123456789") + (kind[len(kind.rstrip("0123456789")) :] or "0")
        return f"{kind}::{rest}".upper()
    return text.upper()


def shipped_bench() -> Path:
    """The ideal bench that travels with labctl."""
    return bench_path("ideal")

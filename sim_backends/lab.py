"""A simulated lab: the world of one bench file with its instruments, shared by all in this process who open it."""

from __future__ import annotations

import threading
from pathlib import Path

from labctl.errors import ConfigError
from labctl.shipped import bench_path
from sim_backends.attacks import Attack, AttackKind
from sim_backends.config import load_world
from sim_backends.faults import UNDISTURBED, fault_named
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
        self._plan = [(entry.at, entry.unit, entry.fault) for entry in config.faults]
        self._plan += [(entry.until, entry.unit, "") for entry in config.faults if entry.until is not None]
        self._plan.sort()
        self._due: list[tuple[float, str, str]] = []
        self._plan_faults()

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
        self._plan_faults()

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
        chosen = fault_named(fault)
        if chosen.disturbance.bias_shift and unit not in self.world.circuit.modulator_units:
            raise ConfigError(f"{unit} drives no modulator whose bias could drift", "Name the server's generator.")
        self.units[unit].set_fault(chosen)
        self.world.disturb(unit, chosen.disturbance)

    def _plan_faults(self) -> None:
        """Those of the bench file begin in their time, from the lab's start or a reset on."""
        self._due = list(self._plan)
        if self._due:
            self.world.on_time = self._begin_due
            for unit in self.units.values():
                unit.on_message = self._look_at_clock

    def _look_at_clock(self) -> None:
        self._begin_due(self.world.elapsed_s)

    def _begin_due(self, elapsed_s: float) -> None:
        while self._due and self._due[0][0] <= elapsed_s:
            _, unit, fault = self._due.pop(0)
            if fault:
                self.set_fault(unit, fault)
            else:
                self._heal(unit)

    def _heal(self, unit: str) -> None:
        self.units[unit].set_fault(None)
        self.world.disturb(unit, UNDISTURBED)

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
        for name in self.units:
            self._heal(name)


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

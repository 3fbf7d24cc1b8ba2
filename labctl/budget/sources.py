"""Sources of noise on a simulated bench, and benches with only some of them (docs/physics.md, section 4).

A bench is known by the tables of its file; what the optics do is its ``[world]``, which is handed on and not understood
here beyond the keys that make up a source.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Tables = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """``keys``: of ``[world]``, "table.key", that are this source and nothing else."""

    name: str
    keys: tuple[str, ...]


#: Passive: they thin out the light and add nothing but vacuum.
LOSSES = Source("losses", ("channel.loss_out", "channel.loss_back"))
EFFICIENCY = Source("efficiency", ("client_receiver.efficiency", "server_receiver.efficiency"))
#: Everything else, in the order of the light.
SOURCES = (
    Source("laser linewidth", ("laser.linewidth",)),
    Source("laser intensity (RIN)", ("laser.rin_db_per_hz",)),
    Source("power drift", ("laser.power_drift_per_hour",)),
    Source(
        "bias and extinction",
        (
            "modulator.bias_i",
            "modulator.bias_q",
            "modulator.bias_drift_i_per_hour",
            "modulator.bias_drift_q_per_hour",
            "modulator.extinction_ratio",
        ),
    ),
    Source("I/Q imbalance", ("modulator.gain_ratio", "modulator.angle_error_deg")),
    Source("V_pi of the modulator", ("modulator.v_pi_i", "modulator.v_pi_q")),
    Source(
        "V_pi of the loop",
        tuple(f"unitary.v_pi_{way}_{part}" for way in ("forward", "return") for part in ("coupler", "phase")),
    ),
    Source("loop loss", ("unitary.loop_loss",)),
    Source("loop phase", ("unitary.loop_phase_error_deg",)),
    Source("amplifier's n_sp", ("amplifier.n_sp",)),
    Source("gain error", ("amplifier.gain_error",)),
    Source("tap error", ("tap.v_pi", "tap.fraction_error")),
    Source("electronic noise", ("client_receiver.electronic_noise", "server_receiver.electronic_noise")),
    Source(
        "common-mode rejection",
        tuple(f"{party}_receiver.{key}" for party in ("client", "server") for key in ("cmrr", "lo_power")),
    ),
)
#: What a source is added to when it cannot be alone.
NEEDS = {"common-mode rejection": "laser intensity (RIN)"}
#: Where the calibrated half-wave voltages stand, by the keys of the true ones.
_CALIBRATED = {
    "modulator.v_pi_i": ("modulator", "in_phase"),
    "modulator.v_pi_q": ("modulator", "quadrature"),
    "tap.v_pi": ("tap",),
    **{
        f"unitary.v_pi_{drive}": ("unitary", drive)
        for drive in ("forward_coupler", "forward_phase", "return_coupler", "return_phase")
    },
}


def without(bench: Tables, sources: Iterable[Source]) -> Tables:
    """The bench's tables with these sources off: the key's default, or the voltage as calibrated."""
    tables = deepcopy(bench)
    for key in (key for source in sources for key in source.keys):
        table, _, name = key.partition(".")
        tables["world"].get(table, {}).pop(name, None)
        if key in _CALIBRATED:
            role: Mapping[str, Any] = tables
            for part in _CALIBRATED[key]:
                role = role[part]
            tables["world"].setdefault(table, {})[name] = role["v_pi"]
    _nothing_idle(tables["world"])
    return tables


def only(bench: Tables, names: Iterable[str]) -> Tables:
    """The quiet bench's tables with these sources on."""
    kept = set(names)
    return without(bench, [each for each in SOURCES if each.name not in kept])


def _nothing_idle(world: Tables) -> None:
    """What has no effect without the laser's noise goes with it."""
    laser = world.get("laser", {})
    for party in ("client_receiver", "server_receiver"):
        idle = [] if "rin_db_per_hz" in laser else ["cmrr", "lo_power"]
        if "rin_db_per_hz" not in laser and "linewidth" not in laser:
            idle.append("lo_delay")
        for key in idle:
            world.get(party, {}).pop(key, None)
    if "rin_db_per_hz" not in laser and "linewidth" not in laser:
        world.get("waveform", {}).get("phase", {}).pop("delay", None)


def toml_text(tables: Mapping[str, Any]) -> str:
    """Tables as a TOML file, everything below the first level in one line."""
    return "".join(f"{json.dumps(key)} = {_value(value)}\n" for key, value in tables.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value)

"""Schema of the ``[world]`` table of bench.toml: which simulated unit stands where, and what the optics do.

Everything is ideal by default. Losses are in dB, voltages are referred to the generators' outputs (the driver
amplifiers' gain is part of V_pi), noise variances are in shot-noise units (SNU) at the receiver.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from labctl.errors import ConfigError
from labctl.schema import (
    Decibels,
    Fraction,
    GainPoint,
    SnuVariance,
    StrictModel,
    Volts,
    Watts,
    read_toml,
    validate,
)

Place = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+:[1-9][0-9]*$")]


class UnitConfig(StrictModel):
    """One simulated instrument: ``model`` is a module of sim_backends, the rest are that model's switches."""

    model_config = ConfigDict(extra="allow", frozen=True)
    model: str

    def options(self) -> dict[str, object]:
        """The model's own switches."""
        return dict(self.model_extra or {})


class Places(StrictModel):
    """Who stands where in the light: "unit" or "unit:channel"."""

    laser: str
    modulator_i: Place
    modulator_q: Place
    attenuators: Annotated[list[Place], Field(min_length=1)]
    forward_coupler: Place
    forward_phase: Place
    return_coupler: Place
    return_phase: Place
    tap: Place
    amplifier: str
    client_receiver: Place
    server_receiver_x: Place
    server_receiver_p: Place
    power_meter: str | None = None


class ModulatorPhysics(StrictModel):
    """IQ modulator at null. ``loss``: from the laser's output to the modulator's, at full transmission of both arms."""

    v_pi_i: Volts = 0.35
    v_pi_q: Volts = 0.35
    loss: Decibels = 0.0


class ChannelPhysics(StrictModel):
    """Fibre out (server to client's amplifier, the unitary's uniform loss included) and back."""

    loss_out: Decibels = 0.0
    loss_back: Decibels = 0.0


class UnitaryPhysics(StrictModel):
    """The client's time-bin loop. ``loop_loss``: per round trip."""

    v_pi_forward_coupler: Volts = 0.35
    v_pi_forward_phase: Volts = 0.35
    v_pi_return_coupler: Volts = 0.35
    v_pi_return_phase: Volts = 0.35
    loop_loss: Decibels = 0.0


class TapPhysics(StrictModel):
    """Mach-Zehnder coupler: returned power fraction cos²(π v / 2 V_pi)."""

    v_pi: Volts = 0.35


class AmplifierPhysics(StrictModel):
    """Phase-insensitive amplifier: gain between the points is linear in the pump current; ``n_sp`` >= 1."""

    gain_curve: Annotated[list[GainPoint], Field(min_length=2)]
    n_sp: Annotated[float, Field(ge=1)] = 1.0

    @model_validator(mode="after")
    def _rising(self) -> AmplifierPhysics:
        pumps = [point.pump for point in self.gain_curve]
        if any(b <= a for a, b in pairwise(pumps)):
            raise ValueError("the pump currents must rise from point to point")
        return self


class ReceiverPhysics(StrictModel):
    """A homodyne receiver. ``volts_per_snu``: output per sqrt(SNU) with the laser at ``reference_power``."""

    efficiency: Fraction = 1.0
    electronic_noise: SnuVariance = 0.0
    volts_per_snu: Volts = 0.02
    reference_power: Watts = 0.01


class MonitorPhysics(StrictModel):
    """Tap of the laser's output to the power meter (power fraction)."""

    fraction: Fraction = 0.1


class WorldConfig(StrictModel):
    """The whole ``[world]`` table."""

    units: dict[str, UnitConfig]
    places: Places
    modulator: ModulatorPhysics = ModulatorPhysics()
    channel: ChannelPhysics = ChannelPhysics()
    unitary: UnitaryPhysics = UnitaryPhysics()
    tap: TapPhysics = TapPhysics()
    amplifier: AmplifierPhysics
    client_receiver: ReceiverPhysics = ReceiverPhysics()
    server_receiver: ReceiverPhysics = ReceiverPhysics()
    monitor: MonitorPhysics = MonitorPhysics()

    @model_validator(mode="after")
    def _places_exist(self) -> WorldConfig:
        for place, who in self.places:
            for name in [who] if isinstance(who, str) else who or []:
                if name.partition(":")[0] not in self.units:
                    raise ValueError(f"places.{place} names {name!r}, which is no unit of [world.units]")
        return self


def load_world(bench_file: Path) -> tuple[WorldConfig, dict[str, str]]:
    """The ``[world]`` of a bench file, and the VISA resource string of each of its units.

    Raises ConfigError when the bench has no world, or a unit has no instrument to stand for.
    """
    tables = read_toml(bench_file)
    if "world" not in tables:
        raise ConfigError(
            f"{bench_file}: there is no [world] table, so there is nothing to simulate",
            "Use a bench with a [world], or set visa_library to '@py' or '@ivi' for real instruments.",
        )
    world = validate(WorldConfig, tables["world"], f"{bench_file}: [world]")
    return world, _resources(tables, world, bench_file)


def _resources(tables: dict[str, Any], world: WorldConfig, bench_file: Path) -> dict[str, str]:
    instruments = tables.get("instruments", {})
    resources: dict[str, str] = {}
    for name in world.units:
        entry = instruments.get(name) if isinstance(instruments, dict) else None
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, str):
            raise ConfigError(
                f"{bench_file}: [world.units.{name}] has no [instruments.{name}] with a resource",
                "Give every simulated unit an instrument of the same name.",
            )
        resources[name] = resource
    return resources

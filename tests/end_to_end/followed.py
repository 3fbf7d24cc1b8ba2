"""A run through drivers, wire and simulated lab with all that it told, and a look at the lab from inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from labctl.engine import RunControl
from labctl.errors import LabctlError
from labctl.events import AlarmRaised, Event, EventBus, ImageFinished, LayerMeasured, LightOff, RunStarted
from labctl.experiment import load_experiment
from labctl.session import Outcome, run_experiment
from sim_backends.lab import Lab

INSTRUMENTS = [
    "laser",
    "server_awg",
    "client_awg_forward",
    "client_awg_return",
    "client_awg_tap",
    "attenuator",
    "amplifier",
    "client_scope",
    "server_scope",
    "power_meter",
]
LISTENERS = {"client_scope", "server_scope", "power_meter"}


class Followed:
    """A run of the shipped digits with its events, and something that happens after its second image."""

    def __init__(self, happens: Callable[[], None] = lambda: None, name: str | Path = "digits", **keys: Any) -> None:
        self.events: list[Event] = []
        bus = EventBus()
        for kind in (RunStarted, LayerMeasured, ImageFinished, AlarmRaised, LightOff):
            bus.subscribe(kind, self.events.append)
        bus.subscribe(ImageFinished, lambda event: happens() if event.image == 1 else None)
        experiment = load_experiment(name, **{"images": 6, **keys})
        self.outcome: Outcome = run_experiment(experiment, bus, RunControl(), None)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def light_off(self) -> LightOff:
        (event,) = self.of(LightOff)
        return event

    @property
    def error(self) -> LabctlError:
        assert self.outcome.error is not None
        return self.outcome.error


def emitting(lab: Lab) -> list[str]:
    """Who still gives light or drive, seen from inside the lab."""
    found = []
    if lab.world.optical_power_w("power_meter") > 0:
        found.append("laser")
    if lab.units["amplifier"].state.emission:
        found.append("amplifier")
    if any(channel.shutter_open for channel in lab.units["attenuator"].state.channels.values()):
        found.append("attenuator")
    found += [
        name
        for name, unit in lab.units.items()
        if "awg" in name and any(channel.output_on for channel in unit.state.channels)
    ]
    return found

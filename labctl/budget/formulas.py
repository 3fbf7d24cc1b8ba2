"""Shares by formula (docs/physics.md, sections 3, 4 and 5).

Vacuum, amplifier, losses, efficiency, n_sp and electronic noise are those of section 3. Each other source is
the difference of two averages in closed form (:mod:`labctl.budget.expectation`): of the quiet bench with it, and
without.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from labctl.budget.expectation import Expected, Scene, expected
from labctl.budget.faults import Faults
from labctl.budget.sources import NEEDS, Source, Tables, only
from labctl.config import ReceiverRole
from labctl.experiment import DUAL_KAPPA, Experiment
from labctl.protocol.encoding import modes_per_row
from labctl.protocol.rowmodel import AmplifierTap
from labctl.units import db_to_ratio

#: (client's, server's) noise variance in SNU of the party's receiver; None where there is no formula.
Amount = tuple[float | None, float | None]
_Pair = tuple[float, float]

#: Bits of the digitizer's converter, unless the simulated unit has others.
_CONVERTER_BITS = 12


def by_formula(
    layer: Experiment, tables: Tables, present: Iterable[Source], hours: NDArray[np.float64]
) -> dict[str, Amount]:
    """Of the sources for the first layer of the network, of what they do together, and of all.

    ``hours``: of each image on the lab's clock, shape (K,). A bench with ``[waveform]``, whose modulator and server's
    receiver work sample by sample, has no more than those of section 3.
    """
    faults = Faults.of(tables["world"])
    found = _plain(layer, faults) | {"quantisation": quantisation(layer, tables)}
    names = {each.name for each in present}
    if layer.bench.waveform is not None:
        return {**found}
    scene = Scene(layer, hours)

    def noise(*sources: str) -> Expected:
        return expected(scene, Faults.of(only(tables, sources)["world"]))

    quiet = noise()
    for name in names - found.keys():
        needed = [NEEDS[name]] if NEEDS.get(name) in names else []
        found[name] = _difference(noise(name, *needed), noise(*needed) if needed else quiet)
    total = _difference(expected(scene, faults), None)
    steps = found["quantisation"]
    whole = (total[0] + steps[0], total[1] + steps[1])
    there = [found[name] for name in found if name in names or name not in _SWITCHED]
    found["interaction"] = (whole[0] - sum(each[0] for each in there), whole[1] - sum(each[1] for each in there))
    return {**found, "total": whole}


#: Lines of their own only where they are among the sources of a bench.
_SWITCHED = ("amplifier's n_sp", "electronic noise")


def _plain(layer: Experiment, faults: Faults) -> dict[str, _Pair]:
    """Of the table of section 3, at the gain asked for; the loop loses nothing."""
    gain, modes = layer.run.gain, modes_per_row(layer.network.layer_shapes[0][1])
    tap, real = AmplifierTap(gain), AmplifierTap(gain, faults.amplifier.n_sp)
    ear, eye = faults.client_receiver, faults.server_receiver
    measured, returned = tap.measured_variance - 1, DUAL_KAPPA * tap.returned_excess / modes
    back = db_to_ratio(-faults.channel.loss_back)
    return {
        "vacuum": (1.0, 1.0),
        "amplifier and tap": (measured, returned),
        "losses": (0.0, returned * (back - 1)),
        "efficiency": (measured * (ear.efficiency - 1), returned * back * (eye.efficiency - 1)),
        "amplifier's n_sp": (
            ear.efficiency * (real.measured_variance - tap.measured_variance),
            DUAL_KAPPA * eye.efficiency * back * (real.returned_excess - tap.returned_excess) / modes,
        ),
        "electronic noise": (ear.electronic_noise, eye.electronic_noise),
    }


def quantisation(layer: Experiment, tables: Tables) -> _Pair:
    """Step²/12 of the digitizers' converters, client's and server's, SNU; a step is full scale/2^bits."""

    def of(role: ReceiverRole) -> float:
        unit = tables["world"]["units"].get(role.digitizer, {})
        step = role.full_scale / 2 ** unit.get("bits", _CONVERTER_BITS) / role.volts_per_snu
        return float(step**2 / 12)

    return of(layer.bench.client_receiver), of(layer.bench.server_receiver)


def _difference(one: Expected, other: Expected | None) -> _Pair:
    """Means over the images."""
    client, server = float(np.mean(one.client)), float(np.mean(one.server))
    if other is None:
        return client, server
    return client - float(np.mean(other.client)), server - float(np.mean(other.server))

"""Shares by formula, where there is one (docs/physics.md, sections 3, 4 and 5), of the calibrated bench."""

from __future__ import annotations

from labctl.experiment import DUAL_KAPPA, Experiment
from labctl.protocol.encoding import modes_per_row
from labctl.protocol.rowmodel import AmplifierTap

#: (client's, server's) noise variance in SNU of the party's receiver; None where there is no formula.
Amount = tuple[float | None, float | None]


def by_formula(layer: Experiment) -> dict[str, Amount]:
    """Of vacuum, amplifier, losses, efficiency and electronic noise, for the first layer of the network."""
    run, bench = layer.run, layer.bench
    modes = modes_per_row(layer.network.layer_shapes[0][1])
    tap, real = AmplifierTap(run.gain), AmplifierTap(run.gain, bench.amplifier.n_sp)
    ear, eye = bench.client_receiver, bench.server_receiver
    measured, returned = tap.measured_variance - 1, DUAL_KAPPA * tap.returned_excess / modes
    back = layer.transmittance_back
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

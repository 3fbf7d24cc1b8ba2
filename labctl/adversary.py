"""The referee of a run with somebody dishonest: knows both sides, belongs to neither, and tells what was gained and how
(docs/physics.md, section 7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.events import AdversaryResult, AttackResult, DataRecovered, RecoveryResult
from labctl.experiment import Experiment
from labctl.interfaces import SimulationControl
from labctl.protocol.attacks import Agreed, Attack, named_attack
from labctl.protocol.design import Channel
from labctl.protocol.encoding import modes_per_row, pack_data
from labctl.protocol.estimation import weighted_mean
from labctl.protocol.leakage import data_leakage_journal
from labctl.protocol.recovery import as_data, expected_overlap, overlap, overlap_bound, spike
from labctl.protocol.rowmodel import AmplifierTap

#: Images of which the recovered data are kept.
PICTURES = 16


class Referee:
    """Follows one run. ``control``: of the simulated lab, where an attack on the light is mounted."""

    def __init__(self, experiment: Experiment, control: SimulationControl | None) -> None:
        self._experiment = experiment
        self._control = control
        self._images = 0
        self._mean_overlap = 0.0
        self._learned: tuple[int, float] | None = None

    def compare(self, image: int, guess: NDArray[np.complex128]) -> DataRecovered:
        """A curious server's ẑ of an image, with the data that the client really had."""
        data = self._experiment.dataset.images[image]
        found = overlap(guess, pack_data(data.astype(np.float64)).z)
        self._images += 1
        self._mean_overlap += (found - self._mean_overlap) / self._images
        if image >= PICTURES:
            return DataRecovered(image, found, None)
        picture = as_data(guess)[: len(data)].reshape(self._experiment.dataset.image_shape)
        return DataRecovered(image, found, tuple(map(tuple, picture.tolist())))

    def ask_attacker(self) -> None:
        """While the lab is still there: what an attack on the light told."""
        if self._experiment.run.adversary.on_the_light and self._control is not None:
            self._learned = self._control.attacker_learned()

    def result(self, alarm_image: int | None) -> AdversaryResult | None:
        """None where everybody was honest."""
        found = AdversaryResult(self._attack(alarm_image), self._recovery())
        return None if found == AdversaryResult(None, None) else found

    def _attack(self, alarm_image: int | None) -> AttackResult | None:
        adversary = self._experiment.run.adversary
        if adversary.kind is None or (adversary.on_the_light and self._learned is None):
            return None
        attack = mounted_attack(self._experiment)
        expected = expected_bits_per_mode(self._experiment, attack)
        samples, bits = self._learned or (0, expected)
        return AttackResult(
            attack.name, attack.strength, samples, bits, self._learned is not None, expected, alarm_image
        )

    def _recovery(self) -> RecoveryResult | None:
        if not self._images:
            return None
        experiment = self._experiment
        rows, inputs = experiment.network.layer_shapes[0]
        modes = modes_per_row(inputs)
        gain = experiment.run.adversary.gain_in_use(experiment.run.gain)
        excess = AmplifierTap(gain, experiment.bench.amplifier.n_sp).returned_excess
        strength = spike(experiment.agreement().receiver, experiment.transmittance_back * excess)
        return RecoveryResult(
            images=self._images,
            overlap=self._mean_overlap,
            expected=expected_overlap(strength, rows, modes),
            bound=overlap_bound(data_leakage_journal(excess, modes, rows)),
        )


def agreed_terms(experiment: Experiment) -> Agreed:
    """Working point and calibrated channel of a run, as the formulas of attacks take them."""
    channel = Channel(experiment.transmittance_in, experiment.transmittance_back, experiment.bench.amplifier.n_sp)
    return Agreed(experiment.run.gain, experiment.run.mean_photons, channel)


def mounted_attack(experiment: Experiment) -> Attack:
    """The attack of a run that has one, by its formula."""
    adversary, agreed = experiment.run.adversary, agreed_terms(experiment)
    assert adversary.kind is not None
    if adversary.kind == "substitution":
        return named_attack(adversary.kind, agreed.channel.transmittance)
    strength = adversary.client_gain if adversary.strength is None else adversary.strength
    assert strength is not None
    return named_attack(adversary.kind, strength)


def expected_bits_per_mode(experiment: Experiment, attack: Attack) -> float:
    """By formula, over all layers, weighted by the modes sent."""
    agreement, agreed = experiment.agreement(), agreed_terms(experiment)
    bits = [attack.bits_per_mode(agreed, layer.modes) for layer in agreement.layers]
    return weighted_mean(bits, agreement.samples)

"""Rows with pilots: where modes and pilots stand, and that they are found again when the light comes back reversed."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.config import WaveformRole
from labctl.optics.drive import RowLayout, Timing
from labctl.optics.symbols import PulseTrain

TIMING = Timing(125e6, 48, 240, 4, 16)


def train(**keys: object) -> PulseTrain:
    role = WaveformRole.model_validate({"samples_per_symbol": 4, "pilot_photons": 100.0, **keys})
    return PulseTrain.of(role, TIMING, np.random.default_rng(5))


def amplitudes(rows: int, modes: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    return (rng.normal(size=(rows, modes)) + 1j * rng.normal(size=(rows, modes))).astype(np.complex64)


@pytest.mark.parametrize(("modes", "bins"), [(32, 240), (210, 240), (211, 288), (392, 480)])
def test_layout_with_pilots(modes: int, bins: int) -> None:
    """Every 16th bin is a pilot, the row's last one too; the first period carries no data: after the last pilot that
    comes back nothing could be turned to its phase.
    """
    layout = TIMING.layout(modes)
    assert layout == RowLayout(modes, bins, 16)
    assert layout.pilot_slots.tolist() == list(range(15, bins, 16))
    data = layout.data_slots
    assert len(data) == modes
    assert data[-1] == bins - 2
    assert data[0] > 15
    assert not set(data.tolist()) & set(layout.pilot_slots.tolist())


def test_layout_without_pilots_is_a_block() -> None:
    layout = Timing(125e6, 48, 240).layout(32)
    assert layout.pilot_slots.size == 0
    assert layout.data_slots.tolist() == list(range(208, 240))


def test_samples_carry_the_amplitudes() -> None:
    pulses, wanted = train(), amplitudes(5, 32)
    samples = pulses.samples(wanted)
    assert len(samples) % 48 == 0
    assert len(samples) >= 5 * 240 * 4 + len(pulses.pulse.taps) - 4
    # The pulse is cut at 32 symbols: 1e-4 of the pilots' amplitude of 10.
    assert np.abs(pulses.amplitudes(samples, 5, 32) - wanted).max() < 0.01


@pytest.mark.parametrize("modes", [1, 32, 210])
def test_modes_are_found_in_what_comes_back(modes: int) -> None:
    pulses, wanted = train(), amplitudes(4, modes)
    layout = TIMING.layout(modes)
    slots = np.zeros((4, layout.bins), np.complex64)
    slots[:, layout.data_slots], slots[:, layout.pilot_slots] = wanted, pulses.pilots.amplitude
    frame = slots[:, ::-1].reshape(-1)[: pulses.frame_length(4, layout)]
    assert (pulses.pilots.pilots(frame) == np.complex64(pulses.pilots.amplitude)).all()
    data = pulses.pilots.data(frame, pulses.frame_data(4, layout))
    np.testing.assert_array_equal(pulses.returned(data, 4, layout), wanted[:, ::-1])


def test_bright_frame_is_balanced() -> None:
    """Each pair of symbols has no α², all are as bright as the pilots, neighbours are uncorrelated; what is expected to
    arrive is what was sent, reversed.
    """
    pulses = train()
    rows, bins = pulses.bright.shape
    arriving = pulses.arriving()
    assert len(arriving) == pulses.frame_data(rows, TIMING.layout(1)) > 30_000
    np.testing.assert_allclose(np.abs(pulses.bright), 10.0, rtol=1e-5)
    between = np.delete(pulses.bright, np.arange(15, bins, 16), axis=1).reshape(-1)
    pairs = between[: len(between) // 2 * 2].reshape(-1, 2)
    np.testing.assert_allclose((pairs**2).sum(axis=1), 0, atol=1e-3)
    # 15,000 products of modulus 100: 4.5 standard errors.
    assert abs(np.mean(pairs[:, 0] * pairs[:, 1].conj())) < 4.5 * 100 / np.sqrt(len(pairs))
    assert arriving[0] == pulses.bright[0, bins - 2]


def test_rectangular_pulses() -> None:
    assert train(pulse="rectangular").pulse.taps.tolist() == [0.5] * 4

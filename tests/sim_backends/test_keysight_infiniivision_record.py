"""Quantisation, codes and preamble of the simulated InfiniiVision."""

from __future__ import annotations

import numpy as np
import pytest

from sim_backends.keysight_infiniivision_record import (
    CLIPPED_HIGH,
    CLIPPED_LOW,
    HOLE,
    Readout,
    Record,
    Scale,
    nr3,
    quantise,
)


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count, dtype=np.float32)


def recorded(samples: np.ndarray, bits: int = 12, range_v: float = 0.8, offset_v: float = 0.0) -> Record:
    scale = Scale.of(range_v, offset_v, bits, 256)
    return Record(quantise(samples.copy(), 1.0, scale), scale, 1e-9, 0.0)


def volts(readout: Readout, record: Record) -> np.ndarray:
    """As a client computes them, from what is sent alone."""
    fields = [float(field) for field in readout.preamble(record).split(",")]
    order = ">" if readout.msb_first else "<"
    kind = ("u" if readout.unsigned else "i") + ("1" if readout.format == "BYTE" else "2")
    codes = np.frombuffer(bytes(readout.payload(record)), dtype=order + kind)
    return (codes.astype(float) - fields[9]) * fields[7] + fields[8]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.6e-8, "+1.60000000E-008"), (0.0, "+0.00000000E+000"), (-5e-4, "-5.00000000E-004")],
)
def test_numbers_as_the_preamble_shows_them(value, text) -> None:
    assert nr3(value) == text


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("msb_first", [True, False])
@pytest.mark.parametrize("unsigned", [True, False])
@pytest.mark.parametrize("offset_v", [0.0, 0.0123])
def test_word_arithmetic_is_exact(bits, msb_first, unsigned, offset_v) -> None:
    """Each reading is within half a step of the truth, whatever the byte order and sign."""
    truth = 0.05 * noise(5000) + np.float32(offset_v)
    record = recorded(truth, bits, offset_v=offset_v, range_v=0.77)
    readout = Readout("WORD", msb_first, unsigned)
    step_v = record.scale.word_step_v * 2 ** (16 - bits)
    error = volts(readout, record) - truth
    assert np.abs(error).max() <= 0.5 * step_v * (1 + 1e-3)
    assert np.abs(error).max() > 0.4 * step_v, "it is a converter with that many bits"
    assert readout.y_reference == (32768 if unsigned else 0)
    assert record.scale.word_step_v == float(nr3(record.scale.word_step_v))


def test_screen_is_eight_divisions() -> None:
    record = recorded(np.array([0.3999, -0.3999], dtype=np.float32))
    assert record.codes.tolist() == [2047 * 16, -2047 * 16]
    assert 8 * 0.1 / record.scale.word_step_v == pytest.approx(65536, rel=1e-8)


def test_mid_tread() -> None:
    record = recorded(np.zeros(3, dtype=np.float32))
    assert record.codes.tolist() == [0, 0, 0]
    flipped = recorded(-0.05 * noise(2000)).codes
    assert np.array_equal(flipped, -recorded(0.05 * noise(2000)).codes)


def test_quantisation_noise_is_that_of_the_bits() -> None:
    """Variance step²/12 for uniform error: 100000 samples, relative error 0.3 % (1 sigma); 5 sigma, fixed seed."""
    truth = 0.05 * noise(100_000)
    for bits in (8, 10, 12):
        record = recorded(truth, bits)
        error = record.codes * record.scale.word_step_v - truth
        step_v = record.scale.word_step_v * 2 ** (16 - bits)
        assert np.var(error) == pytest.approx(step_v**2 / 12, rel=0.02)


@pytest.mark.parametrize(
    ("readout", "low", "middle", "high"),
    [
        (Readout("WORD", msb_first=True, unsigned=True), b"\x00\x01", b"\x80\x00", b"\xff\xff"),
        (Readout("WORD", msb_first=False, unsigned=True), b"\x01\x00", b"\x00\x80", b"\xff\xff"),
        (Readout("WORD", msb_first=True, unsigned=False), b"\x80\x01", b"\x00\x00", b"\x7f\xff"),
        (Readout("BYTE", unsigned=True), b"\x01", b"\x80", b"\xff"),
        (Readout("BYTE", unsigned=False), b"\x81", b"\x00", b"\x7f"),
    ],
)
@pytest.mark.parametrize("bits", [8, 12])
def test_clipping_is_flagged(readout, low, middle, high, bits) -> None:
    record = recorded(np.array([-0.401, 0.0, 0.401, np.inf, np.nan, -np.inf], dtype=np.float32), bits)
    assert bytes(readout.payload(record)) == low + middle + 3 * high + low
    assert record.codes.tolist() == [CLIPPED_LOW, 0, CLIPPED_HIGH, CLIPPED_HIGH, CLIPPED_HIGH, CLIPPED_LOW]


def test_nothing_else_carries_a_flag() -> None:
    record = recorded(np.linspace(-0.3999, 0.3999, 20001, dtype=np.float32))
    unsigned = np.frombuffer(bytes(Readout("WORD").payload(record)), dtype=">u2")
    assert not np.isin(unsigned, (0, 1, 0xFFFF)).any()
    assert not (unsigned & 0xF).any(), "twelve bits count"


def test_holes() -> None:
    whole = recorded(noise(3))
    codes = np.concatenate([np.full(2, HOLE, dtype=np.int16), whole.codes])
    record = Record(codes, whole.scale, 1e-9, -2e-9)
    assert bytes(Readout("WORD").payload(record))[:4] == bytes(4)
    assert bytes(Readout("BYTE").payload(record))[:2] == bytes(2)
    assert [float(x) for x in bytes(Readout("ASC").payload(record)).split(b",")][:2] == [9.9e37] * 2


def test_byte_is_the_upper_byte() -> None:
    record = recorded(0.05 * noise(1000))
    word = np.frombuffer(bytes(Readout("WORD").payload(record)), dtype=">u2")
    byte = np.frombuffer(bytes(Readout("BYTE").payload(record)), dtype=np.uint8)
    assert np.array_equal(byte, word >> 8)
    assert np.abs(volts(Readout("BYTE"), record) - volts(Readout("WORD"), record)).max() <= 0.8 / 256


def test_ascii_shows_volts() -> None:
    record = recorded(0.05 * noise(50), offset_v=0.01)
    shown = np.array([float(x) for x in bytes(Readout("ASC").payload(record)).split(b",")])
    assert np.allclose(shown, volts(Readout("WORD"), record), rtol=2e-5, atol=1e-12)


def test_preamble_has_ten_fields() -> None:
    record = Record(np.zeros(7, np.int16), Scale.of(40.0, 0.5, 8, 199), 1.6e-8, -5e-4, kind=2, count=16)
    assert Readout("ASC").preamble(record) == (
        "+4,+2,+7,+16,+1.60000000E-008,-5.00000000E-004,+0,+7.85175879E-004,+5.00000000E-001,+32768"
    )


@pytest.mark.parametrize(
    ("points", "length", "every"),
    [(1000, 1000, 1), (1500, 1000, 1), (500, 500, 2), (100, 100, 10), (300, 334, 3), (1, 1, 1000)],
)
def test_thinned(points, length, every) -> None:
    record = Record(np.arange(1000, dtype=np.int16), Scale.of(1, 0, 12, 256), 1e-9, 5e-9)
    thinned = record.thinned(points)
    assert len(thinned) == length
    assert np.array_equal(thinned.codes, record.codes[::every])
    assert thinned.x_increment_s == pytest.approx(every * 1e-9)
    assert thinned.x_origin_s == 5e-9
    assert (
        np.frombuffer(bytes(Readout("WORD", False, False).payload(thinned)), "<i2").tolist() == thinned.codes.tolist()
    )


def test_empty_record() -> None:
    record = recorded(np.empty(0, dtype=np.float32))
    for form in ("BYTE", "WORD", "ASC"):
        assert bytes(Readout(form).payload(record)) == b""

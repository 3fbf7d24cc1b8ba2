"""Numbers as a lab writes them."""

from __future__ import annotations

import pytest

from gui.quantities import duration, label_of, number, scaled, text_of


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("wavelength_m", 1.55012e-6, "1550.120 nm"),
        ("power_w", 0.01, "10 mW"),
        ("sample_rate_hz", 1.25e8, "125 MHz"),
        ("attenuation_1_db", 30.055, "30.055 dB"),
        ("amplitude_1_vpp", 0.7, "700 mV pp"),
        ("box_temperature_c", 31.5, "31.5 °C"),
        ("pump_a", 0.0, "0 A"),
        ("diode_on", True, "yes"),
        ("mode", "ACC", "ACC"),
        ("averages", 1, "1"),
    ],
)
def test_values(name: str, value: object, text: str) -> None:
    assert text_of(name, value) == text


def test_labels_and_dashes() -> None:
    assert label_of("sample_rate_hz") == "sample rate"
    assert label_of("interlock_open") == "interlock open"
    assert (number(None), number(float("nan")), duration(float("nan"))) == ("—", "—", "—")
    assert (duration(61), duration(3601)) == ("1:01", "1:00:01")
    assert scaled(6.41e-11, "W", 3) == "64.1 pW"

"""Schema of the [world] table: mistakes are refused with file and key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from labctl.errors import ConfigError
from labctl.shipped import examples
from sim_backends.config import load_world

BENCHES = sorted(examples().glob("*.bench.toml"))


def changed(folder: Path, changes: Mapping[str, str], bench: str = "ideal") -> Path:
    text = (examples() / f"{bench}.bench.toml").read_text()
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the shipped bench"
        text = text.replace(old, new)
    path = folder / "my.bench.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.name)
def test_shipped_worlds_load(path: Path) -> None:
    world, resources = load_world(path)
    assert set(resources) == set(world.units)
    assert world.places.laser in world.units


def test_ideal_is_ideal() -> None:
    world, resources = load_world(examples() / "ideal.bench.toml")
    assert world.units["laser"].model == "santec_tsl570"
    assert resources["laser"] == "TCPIP0::192.168.10.11::5000::SOCKET"
    assert world.amplifier.n_sp == 1.0
    assert world.client_receiver.efficiency == world.server_receiver.efficiency == 1.0
    assert world.client_receiver.electronic_noise == 0.0
    assert world.channel.loss_out == world.unitary.loop_loss == 0.0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[world.places]\n", "[world.places]\nmagic = 1\n", "unknown key 'places.magic'"),
        ("[world.modulator]\n", "[world.modulatr]\n", "unknown key 'modulatr'"),
        ('[world.modulator]\nloss = "6 dB"', '[world.modulator]\nloss = "6 dBm"', "'modulator.loss'"),
        ('[world.modulator]\nloss = "6 dB"', "[world.modulator]\nloss = 6", "with its unit"),
        ("[world.client_receiver]\n", "[world.client_receiver]\nefficiency = 1.5\n", "'client_receiver.efficiency'"),
        ("[world.client_receiver]\n", "[world.client_receiver]\nelectronic_noise = nan\n", "finite"),
        ("[world.amplifier]\nn_sp = 1.0", "[world.amplifier]\nn_sp = 0.5", "'amplifier.n_sp'"),
        ('laser = "laser"\nmodulator_i', 'laser = "maser"\nmodulator_i', "places.laser names 'maser'"),
        ('tap = "client_awg_tap:1"', 'tap = "client_awg_tap"', "'places.tap'"),
        ('tap = "client_awg_tap:1"', 'tap = "client_awg_tap:0"', "'places.tap'"),
        ('tap = "client_awg_tap:1"', 'tap = "nobody:1"', "places.tap names 'nobody:1'"),
        ('"attenuator:1", "attenuator:3"', '"attenuator:1", "voa:3"', "places.attenuators names 'voa:3'"),
        ('laser = { model = "santec_tsl570" }', "laser = {}", "'units.laser.model' is missing"),
        ('power_meter = { model = "thorlabs_pm100d" }\n', "", "places.power_meter names 'power_meter'"),
        ("[world.places]\n", '[world.places]\nswitch = "osw"\n', "places.switch names 'osw'"),
        ("[world.places]\n", '[world.places]\nbias_i = "laser"\n', "'places.bias_i'"),
        (
            "[world.places]\n",
            '[world.places]\nbias_i = "laser:1"\nbias_q = "laser:1"\n',
            "bias_i and bias_q both name 'laser:1'",
        ),
        ("[world.modulator]\n", "[world.polarisation]\naxis = [1.0, 0.0]\n[world.modulator]\n", "'polarisation.axis'"),
        ("[world.modulator]\n", "[world.polarisation]\naxis = [1.0, 1.0, 0.0]\n[world.modulator]\n", "unit vector"),
        (
            "[world.modulator]\n",
            "[world.polarisation]\naxis = [0.0, 0.0, 1.0]\n[world.modulator]\n",
            "polarisation.axis has no effect without places.polarisation",
        ),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = changed(tmp_path, {old: new})
    with pytest.raises(ConfigError) as caught:
        load_world(path)
    assert caught.value.message.startswith(f"{path}: [world]: ")
    assert said in caught.value.message
    assert caught.value.remedy


def test_pump_currents_must_rise(tmp_path: Path) -> None:
    text = '{ pump = "50 mA", gain = 1.3 }'
    with pytest.raises(ConfigError, match=r"amplifier.*must rise"):
        load_world(changed(tmp_path, {text: text.replace("50", "0")}))


def test_no_world(tmp_path: Path) -> None:
    path = tmp_path / "real.bench.toml"
    path.write_text('name = "real"\n')
    with pytest.raises(ConfigError, match=r"real\.bench\.toml: there is no \[world\] table") as caught:
        load_world(path)
    assert "@py" in caught.value.remedy


@pytest.mark.parametrize(
    ("old", "new"),
    [("[instruments.amplifier]", "[instruments.edfa]"), ('resource = "ASRL/dev/ttyUSB0::INSTR"', 'at = "ASRL"')],
)
def test_a_unit_stands_for_an_instrument(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(ConfigError, match=r"\[world\.units\.amplifier\] has no \[instruments\.amplifier\]"):
        load_world(changed(tmp_path, {old: new}))


def test_switches_of_a_model_are_passed_on(tmp_path: Path) -> None:
    plain = 'server_awg = { model = "keysight_m8190a" }'
    world, _ = load_world(changed(tmp_path, {plain: plain.replace(" }", ', mode = "WSP", channels = 1 }')}))
    assert world.units["server_awg"].options() == {"mode": "WSP", "channels": 1}
    assert world.units["laser"].options() == {}


@pytest.mark.parametrize("party", ["client_receiver", "server_receiver"])
def test_a_delay_of_less_than_half_a_bin_is_refused(tmp_path: Path, party: str) -> None:
    """At 125 MSa/s a bin is 8 ns."""

    def delayed(by: str) -> Path:
        head = f"[world.{party}]\n"
        laser = '[world.laser]\nlinewidth = "1 kHz"\n\n'
        return changed(
            tmp_path, {head: f'{head}lo_delay = "{by}"\n', "[world.modulator]\n": laser + "[world.modulator]\n"}
        )

    assert load_world(delayed("4.1 ns"))[0].laser.linewidth == 1000.0
    with pytest.raises(
        ConfigError, match=rf"my\.bench\.toml: \[world\]: {party}\.lo_delay of 3\.9e-09 s has no effect"
    ):
        load_world(delayed("3.9 ns"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('delay = "50 us"', 'delay = "0 s"', "laser.linewidth has no effect"),
        (
            'pulse = "root_raised_cosine"\nroll_off = 0.4',
            'pulse = "rectangular"\nroll_off = 0.3',
            "waveform.roll_off has no",
        ),
        (
            'pulse = "root_raised_cosine"\nroll_off = 0.4',
            'pulse = "rectangular"\nspan_symbols = 64',
            "waveform.span_symbols has no",
        ),
    ],
)
def test_a_waveform_s_parameter_without_effect_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    head, _, world = (examples() / "waveform.bench.toml").read_text().partition("[world.waveform]")
    lines = [line.partition("#")[0].rstrip() for line in world.splitlines()]
    text = "\n".join(line for line in lines if line)
    if old not in text:
        raise AssertionError(f"{old!r} is not in the shipped bench:\n{text}")
    if "span_symbols" in new:
        text = "\n".join(line for line in text.splitlines() if not line.startswith("span_symbols"))
    path = tmp_path / "my.bench.toml"
    path.write_text(head + "[world.waveform]\n" + text.replace(old, new))
    with pytest.raises(ConfigError, match="world") as caught:
        load_world(path)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("by", "linewidth", "said"),
    [
        ("1 s", "1 kHz", r"server_receiver\.lo_delay.*1 s is more than 0\.001 s, 200 km of fibre"),
        ("1 ms", "1 MHz", r"laser\.linewidth and server_receiver\.lo_delay leave no phase.*6\.28e\+03 rad²"),
    ],
)
def test_a_delay_that_no_path_has_is_refused(tmp_path: Path, by: str, linewidth: str, said: str) -> None:
    head, laser = "[world.server_receiver]\n", f'[world.laser]\nlinewidth = "{linewidth}"\n\n'
    changes = {head: f'{head}lo_delay = "{by}"\n', "[world.modulator]\n": laser + "[world.modulator]\n"}
    with pytest.raises(ConfigError, match=said):
        load_world(changed(tmp_path, changes))


def test_a_delay_of_too_many_bins_is_refused(tmp_path: Path) -> None:
    """At 12 GSa/s the 1 ms that a path may have are 12 million bins."""
    head, laser = "[world.server_receiver]\n", "[world.laser]\nrin_db_per_hz = -150.0\n\n"
    changes = {
        head: f'{head}lo_delay = "1 ms"\n',
        "[world.modulator]\n": laser + "[world.modulator]\n",
        '"125 MSa/s"': '"12 GSa/s"',
    }
    with pytest.raises(ConfigError, match=r"1\.2e\+07 bins"):
        load_world(changed(tmp_path, changes))


@pytest.mark.parametrize(("old", "new"), [('delay = "50 us"', 'delay = "1 s"'), ('skew = "0.4 ns"', 'skew = "1 s"')])
def test_delays_of_a_waveform_have_limits_too(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(ConfigError, match="the most that is simulated"):
        load_world(changed(tmp_path, {old: new}, "waveform"))

"""A bench file to begin with, written from what answers.

What the instruments told is filled in. What only a person or a calibration knows (which box plays which part, losses,
half-wave voltages, shot noise) stands as a comment with an example: as long as one is missing, the file is refused, and
no run rests on a value that nobody measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from labctl.values import FoundInstrument

#: What an instrument of a kind is called; several are numbered.
NAMES = {
    "Laser": "laser",
    "WaveformGenerator": "awg",
    "BiasController": "bias_controller",
    "Attenuator": "attenuator",
    "Amplifier": "amplifier",
    "PowerMeter": "power_meter",
    "Digitizer": "scope",
    "OpticalSwitch": "switch",
    "PolarisationController": "polarisation_controller",
}
_HEAD = """\
# Written by `labctl bench new` on {date}, from what answered. Lines that begin with "# " and a key
# are not known yet: decide or measure each, take the "# " away, and mend the value. docs/reference/files.md tells what
# every key means, docs/how-to/run-on-real-hardware.md how to go on. `labctl bench check` tells what is still missing.

name = "{name}"
visa_library = "{library}"
# calibrated = "who, when, and how"
# calibrated_at = {date}
# calibration_valid_hours = 12
# sample_rate = "125 MSa/s"                 # one time bin per sample
"""
_DRIVE = '{{ instrument = "{instrument}", channel = {channel}, v_pi = "350 mV", amplitude = "700 mV" }}'


def bench_text(name: str, library: str, found: Iterable[FoundInstrument], date: datetime) -> str:
    """The text of a bench.toml. ``library``: as in ``visa_library``."""
    known = [each for each in found if each.driver]
    named = dict(zip(_names(known), known, strict=True))
    head = _HEAD.format(date=date.isoformat(timespec="seconds"), name=name, library=library)
    return "\n".join([head, *_boxes(named), *_parts(named)])


def _names(found: Sequence[FoundInstrument]) -> Iterator[str]:
    kinds = [each.kind for each in found]
    for index, kind in enumerate(kinds):
        plain = NAMES.get(kind, "instrument")
        yield plain if kinds.count(kind) == 1 else f"{plain}_{kinds[: index + 1].count(kind)}"


def _boxes(named: dict[str, FoundInstrument]) -> Iterator[str]:
    yield "# --- the boxes ---\n"
    for name, each in named.items():
        yield f"[instruments.{name}]".ljust(44) + f"# {each.identity}"
        yield f'driver = "{each.driver}"'
        yield f'resource = "{each.resource}"'
        yield f"# TO MEND: {each.problem}\n" if each.problem else ""
    if not named:
        yield "# Nothing that labctl has a driver for answered.\n"


def _of(named: dict[str, FoundInstrument], kind: str) -> list[str]:
    return [name for name, each in named.items() if each.kind == kind]


def _pick(names: Sequence[str], index: int, kind: str) -> str:
    """The one that may play a part; there may be fewer than parts."""
    return names[min(index, len(names) - 1)] if names else f"NO {kind.upper()} ANSWERED"


def _parts(named: dict[str, FoundInstrument]) -> Iterator[str]:
    """Roles, each with a guess: the first laser is the laser, the first generator the sender's, and so on."""
    awgs, scopes = _of(named, "WaveformGenerator"), _of(named, "Digitizer")
    drives = [
        _DRIVE.format(instrument=_pick(awgs, index // 2, "waveform generator"), channel=1 + index % 2)
        for index in range(6)
    ]
    attenuator = _pick(_of(named, "Attenuator"), 0, "attenuator")
    meters, biases = _of(named, "PowerMeter"), _of(named, "BiasController")
    yield "# --- the parts they play: CHECK which box stands where ---\n"
    yield _table(
        "laser",
        [f'instrument = "{_pick(_of(named, "Laser"), 0, "laser")}"'],
        ['wavelength = "1550.12 nm"', 'power = "10 mW"'],
    )
    yield _table(
        "modulator",
        [],
        [
            f"in_phase = {drives[0]}",
            f"quadrature = {drives[1]}",
            f'attenuators = [{{ instrument = "{attenuator}", channel = 1 }}]',
            'loss = "6 dB"                            # laser to launch, at full transmission',
            *([f"bias = {json.dumps(biases)}"] if biases else []),
        ],
    )
    ways = ("forward_coupler", "forward_phase", "return_coupler", "return_phase")
    yield _table("unitary", [], [f"{way} = {drive}" for way, drive in zip(ways, drives[2:], strict=True)])
    yield _table(
        "tap",
        [f'instrument = "{_pick(awgs, 3, "waveform generator")}"'],
        ["channel = 1", 'v_pi = "350 mV"', 'amplitude = "700 mV"'],
    )
    yield _table(
        "amplifier",
        [f'instrument = "{_pick(_of(named, "Amplifier"), 0, "amplifier")}"'],
        ['pump_calibration = [{ pump = "0 mA", gain = 1.0 }, { pump = "100 mA", gain = 2.0 }]', "n_sp = 1.5"],
    )
    yield _table("link", [], ['loss_out = "0 dB"', 'loss_back = "0 dB"'])
    yield _receiver("client_receiver", _pick(scopes, 0, "digitizer"), "[1]")
    yield _receiver("server_receiver", _pick(scopes, 1, "digitizer"), "[1, 2]")
    if meters:
        yield _table("monitor", [f'instrument = "{meters[0]}"'], ["fraction = 0.1"])


def _receiver(table: str, digitizer: str, channels: str) -> str:
    calibrated = [
        f"channels = {channels}",
        'full_scale = "4 V"',
        'volts_per_snu = "20 mV"',
        "efficiency = 0.85",
        "electronic_noise = 0.05",
        "noise_variance = 1.05",
        "calibration_samples = 10_000_000",
    ]
    return _table(table, [f'digitizer = "{digitizer}"'], calibrated)


def _table(name: str, told: Sequence[str], open_: Sequence[str]) -> str:
    return "\n".join([f"[{name}]", *told, *(f"# {line}" for line in open_), ""])

"""``labctl leakage`` and ``labctl optimise``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from labctl.cli import app
from labctl.models import Network, save_network
from labctl.protocol.design import Budget, RowShape
from labctl.protocol.design import optimise as search
from labctl.protocol.leakage import weight_leakage
from labctl.protocol.rowmodel import AmplifierTap, snr_squared

BOUNDS = ("weights_bits_per_mode", "weights_bits_per_weight", "data_bits_v1", "data_bits_journal")
POINT = ("--gain", "1.3", "--photons", "4", "--modes", "392", "--rows", "784")


def perform(*words: str) -> int:
    return app.perform(list(words), debug=False)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert perform(*words) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


@pytest.mark.parametrize(
    ("gain", "photons", "rows", "bits"),
    [
        ("1.3", "4", "794", ("0.0457", "0.0228", "0.00156", "0.18660")),
        ("1.3", "10", "794", ("0.1009", "0.0504", "0.00156", "0.18660")),
        ("2", "2", "794", ("0.0477", "0.0238", "0.00729", "0.50459")),
        ("2", "4", "794", ("0.0874", "0.0437", "0.00729", "0.50459")),
        ("1.3", "4", "784", ("0.0457", "0.0228", "0.00156", "0.18452")),
    ],
)
def test_published_operating_points(
    gain: str, photons: str, rows: str, bits: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    point = ("--gain", gain, "--photons", photons, "--modes", "392", "--rows", rows)
    found = json.loads(printed(capsys, "leakage", *point, "--json"))
    assert tuple(f"{found[key]:.{len(text) - 2}f}" for key, text in zip(BOUNDS, bits, strict=True)) == bits
    assert (found["transmittance"], found["excess_snu"]) == (1.0, pytest.approx((2 - 2 / float(gain)) / 392))


def test_for_people_it_says_that_the_limits_hold_without_loss_only(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "leakage", *POINT)
    assert "hold at T = 1 only" in text
    lines = {words[0]: words[1:] for line in text.splitlines() if (words := line.split())}
    assert lines["1"] == ["0.04568", "0.02284"]
    assert lines["0.999"][0] == "0.07712"
    assert lines["0.99"][0] == "0.2759"
    assert re.search(r"784 rows of 392 modes +0\.04568 +0\.02284 +0\.001563 +0\.1845", text)


def test_channel_and_amplifier_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "leakage", *POINT, "--transmittance", "0.95", "--excess", "0.01", "--json"))
    assert found["weights_bits_per_mode"] == weight_leakage(4.0, 0.95, 0.01)
    assert [each["transmittance"] for each in found["loss"]] == [1.0, 0.999, 0.99, 0.95]
    assert found["loss"][0]["weights_bits_per_mode"] == weight_leakage(4.0, 1.0, 0.01)
    noisy = json.loads(printed(capsys, "leakage", *POINT, "--n-sp", "1.5", "--json"))
    assert noisy["excess_mode_snu"] == pytest.approx(1.5 * (2 - 2 / 1.3))
    assert all(noisy[key] > json.loads(printed(capsys, "leakage", *POINT, "--json"))[key] for key in BOUNDS)


WRONG = [
    ("--gain", ("0.9", "1001", "nan", "inf", "-2", "x")),
    ("--photons", ("0", "-1", "1e7", "nan", "inf")),
    ("--modes", ("0", "-3", "2.5", "1000000000")),
    ("--rows", ("0", "x")),
    ("--transmittance", ("-0.1", "1.01", "nan")),
    ("--excess", ("-0.001", "nan", "inf")),
    ("--n-sp", ("0.5", "nan")),
]


@pytest.mark.parametrize(("option", "value"), [(option, value) for option, values in WRONG for value in values])
def test_bad_input_is_a_usage_error(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in POINT if word != option]
    if option in POINT:
        del words[POINT.index(option)]
    assert perform("leakage", *words, option, value, "--json") == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["type"] == "ConfigError"
    assert "labctl: remedy: " in shown.err


@pytest.mark.parametrize("missing", ["--gain", "--photons", "--modes", "--rows"])
def test_what_must_be_said(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = list(POINT)
    at = words.index(missing)
    del words[at : at + 2]
    assert perform("leakage", *words) == 2
    assert missing in capsys.readouterr().err


# --- optimise ----------------------------------------------------------------------------------------


def test_the_paper_s_limits_on_mnist(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "optimise", "--weights-bits", "0.1", "--data-bits", "0.01", "--json"))
    point = search((RowShape(392, 784), RowShape(392, 10)), Budget(0.1, 0.01))
    assert (found["gain"], found["mean_photons"]) == (point.gain, point.mean_photons)
    assert found["snr_squared"] == snr_squared(AmplifierTap(point.gain), point.mean_photons)
    assert (found["model"], found["convention"], found["limits"]) == ("mnist", "v1", ["weights"])
    assert [(each["modes"], each["rows"]) for each in found["layers"]] == [(392, 784), (392, 10)]
    for key in BOUNDS:
        assert found[key] == max(layer[key] for layer in found["layers"])
    assert found["weights_bits_per_mode"] == pytest.approx(0.1)
    assert found["weights_bits_per_mode"] <= 0.1


def test_the_point_leaks_what_the_other_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    point = json.loads(printed(capsys, "optimise", "--transmittance", "0.99", "--json"))
    first = point["layers"][0]
    words = ["--gain", repr(point["gain"]), "--photons", repr(point["mean_photons"])]
    words += ["--modes", str(first["modes"]), "--rows", str(first["rows"]), "--transmittance", "0.99"]
    told = json.loads(printed(capsys, "leakage", *words, "--json"))
    assert {key: told[key] for key in BOUNDS} == {key: first[key] for key in BOUNDS}
    assert point["limits"] == ["weights", "data"]


def test_for_people_it_says_what_limits(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "optimise", "--model", "digits", "--convention", "journal", "--data-bits", "0.05")
    assert "limited by the weights' budget and the data's budget" in text
    assert re.search(r"F² = [\d.]+ \(-[\d.]+ dB\)", text)
    assert "64 rows of 32 modes" in text
    assert "hold at T = 1 only" in text


def test_accuracy_at_the_optimum_rises_with_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    """And so with F², which is searched; images are the same."""
    for model in ("digits", "digits-noise-aware"):
        found = [
            json.loads(printed(capsys, "optimise", "--model", model, *words, "--json"))
            for words in (("--transmittance", "0.9"), (), ("--weights-bits", "0.4", "--data-bits", "0.1"))
        ]
        assert [each["snr_db"] for each in found] == sorted(each["snr_db"] for each in found)
        values = [each["accuracy"]["value"] for each in found]
        assert values == sorted(set(values))
        assert all(each["accuracy"]["low"] <= each["accuracy"]["value"] <= each["accuracy"]["high"] for each in found)
    assert "mean of 10 draws of 20 images of digits" in printed(
        capsys, "optimise", "--model", "digits", "--images", "20"
    )


def test_poor_accuracy_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("optimise", "--model", "digits", "--images", "20")
    lossy = printed(capsys, *words, "--transmittance", "0.9")
    assert (
        "\npoor: more than 20% below that without noise; better takes a larger budget of the weights or less loss,"
        in lossy
    )
    assert "and a larger budget of the data or longer rows\n" in lossy
    gain_bound = printed(capsys, *words, "--transmittance", "0.9", "--data-bits", "1")
    assert "limited by the weights' budget\n" in gain_bound
    assert "better takes a larger budget of the weights or less loss\n" in gain_bound
    assert "poor" not in printed(capsys, *words, "--weights-bits", "0.6", "--data-bits", "0.1")


def test_without_its_data_set_a_line_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LABCTL_MNIST", raising=False)
    text = printed(capsys, "optimise")
    assert "accuracy: not simulated: the model's data set 'mnist' is not at hand: no folder given" in text
    found = json.loads(printed(capsys, "optimise", "--json"))
    assert found["accuracy"] is None
    assert "not at hand" in found["no_accuracy"]
    path = tmp_path / "mine.safetensors"
    save_network(Network("mine", (np.ones((3, 21), np.float32),)), path)
    assert "does not tell what data set it was trained for" in printed(capsys, "optimise", "--model", str(path))
    for named in (["--dataset", "mnist"], ["--data", str(tmp_path)]):
        assert perform("optimise", *named) == 2
        assert "not simulated" not in capsys.readouterr().out


@pytest.mark.mnist
def test_a_model_s_own_data_set_is_taken(mnist_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "optimise", "--json"))
    assert found["no_accuracy"] is None
    accuracy = found["accuracy"]
    assert (accuracy["dataset"], accuracy["images"], accuracy["draws"]) == ("mnist", 10_000, 2)
    assert 0.97 < accuracy["value"] < accuracy["clean"]


def test_a_negative_budget_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("optimise", "--weights-bits", "-1") == 2
    assert "--weights-bits is -1" in capsys.readouterr().err


def test_a_model_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.safetensors"
    save_network(Network("mine", (np.ones((3, 21), np.float32),)), path)
    found = json.loads(printed(capsys, "optimise", "--model", str(path), "--json"))
    assert [(each["modes"], each["rows"]) for each in found["layers"]] == [(11, 3)]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("--weights-bits", "0"), "NoWorkingPoint"),
        (("--data-bits", "1e-12"), "NoWorkingPoint"),
        (("--weights-bits", "-1"), "ConfigError"),
        (("--weights-bits", "nan"), "ConfigError"),
        (("--transmittance", "0"), "ConfigError"),
        (("--transmittance", "1.1"), "ConfigError"),
        (("--convention", "v3"), "ConfigError"),
        (("--n-sp", "0"), "ConfigError"),
        (("--model", "imagenet"), "DataError"),
    ],
)
def test_what_cannot_be_done(words: tuple[str, ...], kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert perform("optimise", *words, "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == kind
    assert error["remedy"]

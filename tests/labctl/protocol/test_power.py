"""Power of the sequential test: computed from moments, held against simulated sums.

Distributions are held against each other with the inequality of Dvoretzky, Kiefer, Wolfowitz and Massart: the largest
distance between an empirical distribution of R runs and the true one exceeds sqrt(ln(2/p)/(2R)) with at most p. Here
p = 1e-6 for each comparison (fixed seeds), and 0.005 is allowed to the normal approximation.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.errors import ConfigError
from labctl.protocol.attacks import (
    Agreed,
    AllModes,
    Attack,
    ChannelSubstitution,
    FibreTap,
    GreedyGain,
    HeterodyneResend,
    named_attack,
    usual_attacks,
)
from labctl.protocol.design import Channel
from labctl.protocol.estimation import Receiver
from labctl.protocol.power import (
    CAUGHT,
    assess,
    detection,
    fixed_sample_images,
    images_to_resolve,
    least_strength,
    resolution,
)
from labctl.protocol.verification import LayerNull, SequentialTest, VerificationPlan
from labctl.protocol.walk import NoiseProfile
from tests.labctl.protocol.simulated_sums import first_alarms

DUAL = Receiver(0.5)
AGREED = Agreed(1.3, 4.0)
MNIST = ((614_656, 392), (7_840, 392))
DIGITS = ((4096, 32), (640, 32))
APPROXIMATION = 0.005
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "physics.md").read_text(encoding="utf-8")


def plan_of(
    shapes: tuple[tuple[int, int], ...],
    images: int,
    rate: float = 1e-3,
    agreed: Agreed = AGREED,
    receiver: Receiver = DUAL,
    technical: float = 0.0,
) -> VerificationPlan:
    layers = tuple(
        LayerNull(samples, modes, agreed.one_mode(agreed.gain, modes).excess, technical) for samples, modes in shapes
    )
    return VerificationPlan(layers, receiver, images, rate)


def traces(plan: VerificationPlan, agreed: Agreed, attack: Attack) -> list[NoiseProfile]:
    return [attack.trace(agreed, layer.modes).noise for layer in plan.layers]


def band(runs: int) -> float:
    return math.sqrt(math.log(2 / 1e-6) / (2 * runs)) + APPROXIMATION


# --- against simulated sums -----------------------------------------------------------------------

LOSSY = Agreed(1.3, 4.0, Channel(0.8, 0.7, 1.4))
CASES = {
    "greedy mnist": (plan_of(MNIST, 200), AGREED, GreedyGain(2.0)),
    "greedy mnist, no limit": (plan_of(MNIST, 60), AGREED, GreedyGain(1e9)),
    "greedy digits": (plan_of(DIGITS, 150), AGREED, GreedyGain(3.0)),
    "greedy digits, calibration limits": (
        plan_of(DIGITS, 150, receiver=Receiver(0.5, 0.8, 1.05, 200_000)),
        AGREED,
        GreedyGain(6.0),
    ),
    "greedy digits, loss and technical noise": (
        plan_of(DIGITS, 150, agreed=LOSSY, technical=0.01),
        LOSSY,
        GreedyGain(4.0),
    ),
    "all modes, barely amplified": (plan_of(DIGITS, 60), AGREED, AllModes(1.015)),
    "all modes": (plan_of(DIGITS, 10), AGREED, AllModes(1.3)),
    "resend few rows": (plan_of(MNIST, 60), AGREED, HeterodyneResend(0.002)),
    "resend a row in eight": (plan_of(DIGITS, 20), AGREED, HeterodyneResend(0.125)),
}


@pytest.mark.parametrize("case", CASES)
def test_distribution_of_the_alarm_image(case: str) -> None:
    plan, agreed, attack = CASES[case]
    runs = 20_000
    real = [
        each.raised(layer.technical_excess)
        for each, layer in zip(traces(plan, agreed, attack), plan.layers, strict=True)
    ]
    rng = np.random.default_rng(len(case))
    looks = np.concatenate([first_alarms(plan, real, runs // 10, rng) for _ in range(10)])
    found = assess(plan, agreed, attack).detection
    image = np.where(looks > 0, -(-looks // len(plan.layers)), plan.images + 1)
    counts = np.bincount(image, minlength=plan.images + 2)[1:]
    distance = np.abs(np.cumsum(found.distribution()) - np.cumsum(counts)[: plan.images] / runs).max()
    assert distance < band(runs)
    begun = np.minimum(image, plan.images)
    # 5 standard errors, and 1 % to the approximation
    error = 5 * begun.std() / math.sqrt(runs) + 0.01 * begun.mean()
    assert found.expected_images == pytest.approx(begun.mean(), abs=error)


@pytest.mark.parametrize("shapes", [MNIST, DIGITS], ids=["mnist", "digits"])
def test_false_alarms_of_the_whole_run_look_by_look(shapes: tuple[tuple[int, int], ...]) -> None:
    """At every look the share of honest runs that have alarmed so far is as computed, and never above the rate.

    All looks at once by the inequality above (p = 1e-6); at the eight shown looks within 4.5 binomial standard errors
    (p = 6e-5 for each set).
    """
    plan, runs, rate = plan_of(shapes, 100, 0.05), 40_000, 0.05
    rng = np.random.default_rng(8)
    null = [layer.profile for layer in plan.layers]
    looks = np.concatenate([first_alarms(plan, null, runs // 20, rng) for _ in range(20)])
    computed = detection(plan, null).survival
    every = np.arange(1, plan.horizon + 1)
    share = np.cumsum(np.bincount(looks, minlength=plan.horizon + 1)[1:]) / runs
    theory = 1 - computed.at_all(every)
    assert np.abs(share - theory).max() < band(runs)
    assert theory[-1] == pytest.approx(rate, rel=1e-3)
    assert np.all(np.diff(theory) >= -1e-12)
    for look in (1, 2, 4, 10, 20, 60, 120, 200):
        expected = theory[look - 1]
        allowed = 4.5 * math.sqrt(expected * (1 - expected) / runs) + 0.03 * expected
        assert share[look - 1] == pytest.approx(expected, abs=allowed)
        assert share[look - 1] <= rate + 4.5 * math.sqrt(rate * (1 - rate) / runs)


def test_uncertain_technical_noise_keeps_the_rate() -> None:
    """Each run has a calibration of its own, as uncertain as 20 images: 40,000 runs, 4.5 standard errors (p = 7e-6)."""
    sure, runs, rate = plan_of(DIGITS, 100, 0.05, technical=0.05), 40_000, 0.05
    unsure = replace(sure, common_excess_se=0.01)
    real = [layer.profile for layer in unsure.layers]
    rng = np.random.default_rng(12)
    looks = np.concatenate([first_alarms(unsure, real, runs // 20, rng) for _ in range(20)])
    allowed = 4.5 * math.sqrt(rate * (1 - rate) / runs) + 0.03 * rate
    assert np.mean(looks > 0) == pytest.approx(rate, abs=allowed)
    assert np.all(SequentialTest(unsure).thresholds[10:] > SequentialTest(sure).thresholds[10:])
    assert detection(unsure, traces(unsure, AGREED, GreedyGain(1.3))).power == pytest.approx(rate, rel=1e-3)


def test_a_fixed_threshold_at_every_look_would_be_noticed() -> None:
    """What the test above is worth: z = 1.64 at each of 200 looks alarms in far more than 5 % of the runs."""
    rng = np.random.default_rng(3)
    walks = rng.standard_normal((2000, 200)).cumsum(axis=1) / np.sqrt(np.arange(1, 201))
    assert (walks > 1.645).any(axis=1).mean() > 0.25


def test_the_band_would_see_a_wrong_drift() -> None:
    """The same: 3 % more excess than assumed moves the distribution by more than the band."""
    plan = plan_of(MNIST, 200)
    right = detection(plan, traces(plan, AGREED, GreedyGain(2.0)))
    wrong = [NoiseProfile.one_mode(1.03 * 1.0, 392)] * 2
    moved = np.abs(np.cumsum(right.distribution()) - np.cumsum(detection(plan, wrong).distribution())).max()
    assert moved > band(20_000)


# --- the numbers of section 7 ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attack", "images"), [(GreedyGain(2.0), 132.1), (GreedyGain(3.0), 50.4), (GreedyGain(1e9), 16.2)], ids=str
)
def test_fixed_sample_numbers(attack: Attack, images: float) -> None:
    plan = plan_of(MNIST[:1], 1)
    assert fixed_sample_images(plan, traces(plan, AGREED, attack)) == pytest.approx(images, abs=0.1)


def test_all_modes_take_one_image() -> None:
    plan = plan_of(MNIST, 200)
    found = assess(plan, AGREED, AllModes(1.3))
    assert found.fixed_sample_images < 1
    assert found.detection.expected_images == pytest.approx(1.0)
    assert found.detection.images_to_alarm(0.999) == 1.0


def test_what_one_image_resolves() -> None:
    plan = plan_of(MNIST[:1], 1)
    assert resolution(plan) == pytest.approx(0.0036, abs=2e-5)
    assert plan.layers[0].excess == pytest.approx(0.00118, abs=1e-5)
    assert math.ceil(images_to_resolve(plan, 3)) == 85
    assert resolution(plan, 85) == pytest.approx(plan.layers[0].excess / 3, rel=0.01)
    assert resolution(plan_of(MNIST[1:], 1)) == pytest.approx(0.032, abs=5e-4)


def test_fixed_sample_power_is_what_it_says() -> None:
    """20,000 single looks after that many images: 0.9 within 4.5 standard errors (p = 7e-6), and 0.5 % allowed."""
    plan = plan_of(MNIST[:1], 1)
    profiles = traces(plan, AGREED, GreedyGain(2.0))
    images = fixed_sample_images(plan, profiles)
    [layer] = plan.layers
    at_once = VerificationPlan((replace(layer, samples=round(layer.samples * images)),), DUAL, 1, 1e-3)
    looks = first_alarms(at_once, profiles, 20_000, np.random.default_rng(4))
    assert np.mean(looks > 0) == pytest.approx(0.9, abs=0.0095 + 0.005)
    assert detection(at_once, profiles).power == pytest.approx(0.9, abs=2e-3)


def test_calibration_sets_an_end() -> None:
    rough = plan_of(MNIST, 100, receiver=Receiver(0.5, 1.0, 1.0, 1e6))
    profiles = traces(rough, AGREED, GreedyGain(2.0))
    assert fixed_sample_images(rough, profiles) == math.inf
    assert images_to_resolve(rough, 3) == math.inf
    assert fixed_sample_images(rough, [rough.layers[0].profile] * 2) == math.inf
    exact = plan_of(MNIST, 100)
    assert detection(rough, profiles).power < detection(exact, profiles).power


@pytest.mark.parametrize(
    ("name", "harmless"), [("greedy", 1.3), ("all-modes", 1.0), ("resend", 0.0), ("injection", 0.0)]
)
@pytest.mark.parametrize("technical", [0.0, 0.013])
def test_least_strength_is_caught_and_a_little_less_is_not(name: str, harmless: float, technical: float) -> None:
    plan = plan_of(DIGITS, 200, agreed=LOSSY, receiver=Receiver(0.5, 0.88, 1.07, 10_000_000), technical=technical)
    least = least_strength(plan, LOSSY, name)
    weaker = harmless + (least - harmless) * 0.99
    assert assess(plan, LOSSY, named_attack(name, least)).detection.power >= CAUGHT
    assert assess(plan, LOSSY, named_attack(name, weaker)).detection.power < CAUGHT
    assert least_strength(plan, LOSSY, name, 0.5) < least


def test_some_are_never_caught() -> None:
    plan = plan_of(DIGITS, 200)
    assert least_strength(plan, AGREED, "tap") == least_strength(plan, AGREED, "substitution") == math.inf
    assert least_strength(plan_of(DIGITS, 3), AGREED, "greedy") == math.inf, "three images are too few"
    with pytest.raises(ConfigError, match="unknown attack"):
        least_strength(plan, AGREED, "bribe")


def test_tables_of_the_physics_page() -> None:
    """Speed of detection (section 5) and attacks (section 7), as printed."""
    plan = plan_of(MNIST, 200)
    table = PAGE.split("<!-- table: speed of detection -->\n")[1].split("\n\n")[0].splitlines()[2:]
    assert len(table) == 3
    for line in table:
        used, mean, half, most, _, one = (cell.strip() for cell in line.strip("|").split("|"))
        found = assess(plan, AGREED, GreedyGain(float(used)))
        assert f"{found.detection.expected_images:.1f}" == mean
        assert [found.detection.images_to_alarm(share) for share in (0.5, 0.9)] == [float(half), float(most)]
        assert f"{found.fixed_sample_images:.1f}" == one
    table = PAGE.split("<!-- table: attacks -->\n")[1].split("\n\n")[0].splitlines()[3:]
    attacks = usual_attacks(AGREED)
    for line, attack in zip(table, attacks, strict=True):
        _, eps, passed, half, most, bits, holevo = (cell.strip() for cell in line.strip("|").split("|"))
        found = assess(plan_of(MNIST, 1000), AGREED, attack)
        assert (found.excess, found.transmittance) == pytest.approx((float(eps), float(passed)), rel=5e-3)
        images = [found.detection.images_to_alarm(share) for share in (0.5, 0.9)]
        assert images == [math.inf if cell == "never" else float(cell) for cell in (half, most)]
        assert found.gains[0].bits_per_row == pytest.approx(float(bits), rel=5e-3)
        assert found.gains[0].holevo_bits_per_mode == pytest.approx(float(holevo), rel=5e-3)


# --- what a detection tells -----------------------------------------------------------------------


def test_greedy_client_is_caught_on_mnist() -> None:
    plan = plan_of(MNIST, 10_000)
    attack = detection(plan, traces(plan, AGREED, GreedyGain(3.0)))
    assert attack.probability(200) > 0.999
    assert 25 < attack.images_to_alarm(0.5) < 80
    assert attack.expected_images < 80
    assert attack.power == pytest.approx(1.0)


@pytest.mark.parametrize("attack", [ChannelSubstitution(0.9), FibreTap(0.3), GreedyGain(1.3), HeterodyneResend(0.0)])
def test_what_leaves_no_excess_alarms_no_more_than_honest_runs(attack: Attack) -> None:
    plan = plan_of(MNIST, 500)
    found = detection(plan, traces(plan, AGREED, attack))
    assert found.power == pytest.approx(1e-3, rel=1e-3)
    assert found.expected_images == pytest.approx(500, rel=1e-3)
    assert found.images_to_alarm(0.5) == math.inf
    assert found.images_to_alarm(0.0) == 0


def test_stronger_attacks_are_caught_sooner() -> None:
    plan = plan_of(MNIST, 2_000)
    attacks = [
        GreedyGain(1.5),
        GreedyGain(2.0),
        GreedyGain(3.0),
        GreedyGain(1e9),
        HeterodyneResend(0.01),
        AllModes(1.3),
    ]
    speeds = [detection(plan, traces(plan, AGREED, attack)).expected_images for attack in attacks]
    assert np.all(np.diff(speeds) < 0)


def test_distribution_and_quantiles_agree() -> None:
    plan = plan_of(DIGITS, 100)
    found = detection(plan, traces(plan, AGREED, GreedyGain(3.0)))
    assert found.distribution().sum() == pytest.approx(found.power)
    assert found.probability(0) == 0
    for share in (0.1, 0.5, 0.9):
        images = int(found.images_to_alarm(share))
        assert found.probability(images) >= share > found.probability(images - 1)
    with pytest.raises(ConfigError, match="101 images of a run of 100"):
        found.probability(101)


def test_technical_noise_is_allowed_but_slows_the_alarm() -> None:
    clean, noisy = plan_of(DIGITS, 100), plan_of(DIGITS, 100, technical=0.2)
    profiles = traces(clean, AGREED, GreedyGain(3.0))
    honest = traces(clean, AGREED, GreedyGain(1.3))
    assert detection(noisy, honest).power == pytest.approx(1e-3, rel=1e-3)
    assert detection(noisy, profiles).expected_images > detection(clean, profiles).expected_images
    assert fixed_sample_images(noisy, profiles) > fixed_sample_images(clean, profiles)


@pytest.mark.parametrize(
    ("gain", "out", "back", "n_sp"), [(1.05, 1, 1, 1), (1.3, 0.2, 0.9, 2), (2, 0.9, 0.2, 1.4), (4, 0.5, 0.5, 1)]
)
def test_any_working_point_can_be_assessed(gain: float, out: float, back: float, n_sp: float) -> None:
    agreed = Agreed(gain, 2.0, Channel(out, back, n_sp))
    plan = plan_of(DIGITS, 50, 0.01, agreed)
    for attack in usual_attacks(agreed):
        found = assess(plan, agreed, attack)
        assert 0.0099 < found.detection.power <= 1 + 1e-9
        assert 1 - 1e-9 <= found.detection.expected_images <= 50
        assert len(found.gains) == 2


def test_nonsense_is_refused() -> None:
    plan = plan_of(DIGITS, 10)
    one = [NoiseProfile.uniform(0.1)]
    with pytest.raises(ConfigError, match="1 noise profiles for 2 layers"):
        detection(plan, one)
    with pytest.raises(ConfigError, match="1 noise profiles for 2 layers"):
        fixed_sample_images(plan, one)
    with pytest.raises(ConfigError, match="power"):
        fixed_sample_images(plan, one * 2, power=1.0)

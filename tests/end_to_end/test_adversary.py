"""A client that uses more gain than was agreed, through the whole path: the residual noise gives it away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.events import AlarmRaised, ImageFinished, LayerMeasured
from sim_backends.lab import Lab
from tests.end_to_end.followed import Followed, emitting


def greedy_run(folder: Path, on_alarm: str, gain_in_use: float | None) -> Path:
    """G = 1.3 agreed, another one used."""
    path = folder / "greedy.toml"
    adversary = "" if gain_in_use is None else f"[adversary]\nclient_gain = {gain_in_use}\n"
    path.write_text(
        'dataset = "digits"\nmodel = "digits"\ngain = 1.3\nmean_photons = 4.0\nseed = 2\n'
        f'on_alarm = "{on_alarm}"\n{adversary}'
    )
    return path


def test_a_greedy_client_is_stopped(tmp_path: Path, lab: Lab) -> None:
    """G = 3 where 1.3 was agreed: seen with probability 0.99997 within 150 images of the digits."""
    followed = Followed(name=greedy_run(tmp_path, "stop", 3.0), images=None)
    assert (followed.outcome.finished.status, followed.outcome.verdict) == ("complete", "alarm")
    (alarm,) = followed.of(AlarmRaised)
    assert alarm.excess > alarm.threshold
    assert alarm.image < 150
    assert followed.of(LayerMeasured)[-1].image == alarm.image
    assert len(followed.of(ImageFinished)) <= alarm.image + 1
    assert followed.light_off.dark
    assert emitting(lab) == []


def test_a_greedy_client_goes_on_where_it_may(tmp_path: Path) -> None:
    followed = Followed(name=greedy_run(tmp_path, "continue", 3.0), images=250)
    assert (followed.outcome.finished.status, followed.outcome.verdict) == ("complete", "alarm")
    assert len(followed.of(AlarmRaised)) == 1
    assert followed.outcome.finished.images == 250
    pooled = followed.outcome.finished.pooled
    assert pooled is not None
    greedy = (2 - 2 / 3.0) / 32
    assert pooled.excess.low - 0.003 < greedy < pooled.excess.high + 0.003
    assert pooled.excess.low > pooled.expected == pytest.approx((2 - 2 / 1.3) / 32)


def test_an_honest_client_is_accepted(tmp_path: Path) -> None:
    followed = Followed(name=greedy_run(tmp_path, "stop", None), images=150)
    assert followed.outcome.verdict == "accepted"
    assert followed.outcome.finished.images == 150
    scores = np.array([event.scores for event in followed.of(ImageFinished)])
    assert np.isfinite(scores).all()

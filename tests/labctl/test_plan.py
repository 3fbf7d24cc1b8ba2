"""A run as data."""

from __future__ import annotations

from labctl.plan import BeginImage, FinishImage, Layer, LightOn, Plan, Prepare, Recheck


def test_order() -> None:
    assert list(Plan(images=2, layers=2).steps()) == [
        Prepare(),
        LightOn(),
        BeginImage(0),
        Layer(0, 0),
        Layer(0, 1),
        FinishImage(0),
        BeginImage(1),
        Layer(1, 0),
        Layer(1, 1),
        FinishImage(1),
    ]


def test_length() -> None:
    for images, layers, first in ((1, 1, 0), (3, 2, 0), (0, 2, 0), (3, 2, 1), (3, 2, 3)):
        plan = Plan(images, layers, first)
        assert len(plan) == len(list(plan.steps()))


def test_rechecks_come_between_images_and_after_the_last() -> None:
    plan = Plan(5, 1, 0, (("shot-noise", 2), ("phase", 4)))
    steps = [step for step in plan.steps() if isinstance(step, Recheck | BeginImage)]
    assert steps == [
        BeginImage(0),
        BeginImage(1),
        Recheck(2, "shot-noise"),
        BeginImage(2),
        BeginImage(3),
        Recheck(4, "shot-noise"),
        Recheck(4, "phase"),
        BeginImage(4),
        Recheck(5, "shot-noise"),
        Recheck(5, "phase"),
    ]
    for first in range(6):
        again = Plan(5, 1, first, plan.rechecks)
        assert len(again) == len(list(again.steps()))
    assert (plan.count("shot-noise"), plan.count("phase"), plan.count("bias")) == (3, 2, 0)

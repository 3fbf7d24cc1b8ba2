"""A run as data."""

from __future__ import annotations

from labctl.plan import BeginImage, FinishImage, Layer, LightOn, Plan, Prepare


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

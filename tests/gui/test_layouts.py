"""Layouts that have names: kept over sessions, put back, forgotten."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PyQt6.QtWidgets import QInputDialog

from gui.window import MainWindow


def hidden(window: MainWindow) -> set[str]:
    return {key for key, dock in window.docks.docks.items() if dock.isHidden()}


def test_kept_put_back_and_forgotten(make_window: Callable[[], MainWindow], monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_window()
    names = iter([("night shift / two", True), (" ", True), ("x", False), ("calibration", True)])
    monkeypatch.setattr(QInputDialog, "getText", lambda *words: next(names))
    first.docks.docks["leakage"].close()
    first.layouts.keep.trigger()
    first.layouts.keep.trigger()  # without a name
    first.layouts.keep.trigger()  # thought better of it
    assert list(first.layouts.named) == ["night shift / two"]
    first.docks.docks["test"].close()
    first.layouts.keep.trigger()
    first.layouts.first.trigger()
    assert hidden(first) == set()
    first.close()

    second = make_window()
    assert list(second.layouts.named) == ["night shift / two", "calibration"]
    assert [each.shortcut().toString() for each in second.layouts.named.values()] == ["Ctrl+Alt+1", "Ctrl+Alt+2"]
    second.layouts.named["night shift / two"].trigger()
    assert hidden(second) == {"leakage"}
    second.layouts.named["calibration"].trigger()
    assert hidden(second) == {"leakage", "test"}
    monkeypatch.setattr(QInputDialog, "getItem", lambda *words, **more: ("night shift / two", True))
    second.layouts.forget.trigger()
    assert list(second.layouts.named) == ["calibration"]
    second.close()
    assert list(make_window().layouts.named) == ["calibration"]


def test_a_layout_of_the_same_name_is_replaced(window: MainWindow) -> None:
    window.layouts.keep_as("mine")
    window.docks.docks["image"].close()
    window.layouts.keep_as("mine")
    window.docks.arrange()
    window.layouts.put_back("mine")
    assert list(window.layouts.named) == ["mine"]
    assert hidden(window) == {"image"}

"""What a run shows on standard error: lines in a pipe, a bar in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from labctl.cli.progress import RunProgress, duration
from labctl.clock import SteppedClock
from labctl.events import Event, EventBus, ImageFinished, StateChanged
from tests.labctl import sample_run

Capture = pytest.CaptureFixture[str]


def follow(events: Iterable[Event], *, terminal: bool, seconds_per_image: float = 0.5) -> None:
    clock, bus = SteppedClock(), EventBus()
    with RunProgress(clock, terminal=terminal) as progress:
        progress.attach(bus)
        for event in events:
            if isinstance(event, ImageFinished):
                clock.wait(seconds_per_image)
            bus.publish(event)


def test_a_pipe_gets_a_line_every_tenth(capsys: Capture) -> None:
    follow(sample_run.whole_run(200), terminal=False)
    shown = capsys.readouterr()
    lines = [line for line in shown.err.splitlines() if "images," in line]
    assert [line.split()[2] for line in lines] == [f"{20 * n}/200" for n in range(1, 11)]
    assert lines[4].startswith("labctl: sample: 100/200 images, accuracy 90.0%, noise ")
    assert lines[4].endswith(" (alarm 0.02) SNU, 2 images/s, ETA 0:50")
    assert "\x1b" not in shown.err
    assert shown.out == ""


def test_a_short_run_gets_a_line_for_each_image(capsys: Capture) -> None:
    follow(sample_run.whole_run(3), terminal=False)
    assert capsys.readouterr().err.count("images,") == 3


def test_states_and_safe_state_are_told(capsys: Capture) -> None:
    states: list[Event] = [StateChanged("preparing"), StateChanged("running"), StateChanged("stopping", "by hand")]
    follow([*states, sample_run.light_off()], terminal=False)
    assert capsys.readouterr().err == "labctl: preparing\nlabctl: stopping: by hand\nlabctl: light off, read back\n"


def test_a_terminal_gets_a_bar(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("FORCE_COLOR", "1")
    follow(sample_run.whole_run(200), terminal=True)
    shown = capsys.readouterr()
    assert "200/200" in shown.err
    assert "accuracy 90.0%" in shown.err
    assert "alarm 0.02" in shown.err
    assert "2 images/s, ETA 0:00" in shown.err
    assert shown.out == ""


def test_a_narrow_terminal_gets_all_numbers_on_one_line(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    follow(sample_run.whole_run(200), terminal=True, seconds_per_image=40.0)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    lines = [line for line in re.split(r"[\r\n]+", plain) if "ETA" in line]
    assert any(
        re.search(r"━ +150/200 acc 90\.0%, ε 0\.01\d+ \(alarm 0\.02\), 0\.025/s, ETA 0?:?33:20$", line)
        for line in lines
    )


def test_the_bar_is_drawn_five_times_a_second_at_most(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    follow(sample_run.whole_run(1000), terminal=True, seconds_per_image=0.001)
    assert 4 <= capsys.readouterr().err.count("images/s") <= 8


def test_the_bar_ends_when_the_run_breaks(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")

    def broken() -> Iterable[Event]:
        yield sample_run.started()
        yield sample_run.image(0)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        follow(broken(), terminal=True)
    shown = capsys.readouterr().err
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")  # the cursor is shown again


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (61, "1:01"), (3600, "1:00:00"), (90_061, "25:01:01")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text

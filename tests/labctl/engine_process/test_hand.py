"""A bench operated by hand over the real pipes, and dark again whatever ends that."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from labctl import locks
from labctl.engine_process.messages import (
    ConnectRequest,
    DisconnectRequest,
    Failed,
    HandReport,
    Order,
    ReadPropertiesRequest,
    SetPropertyRequest,
)
from labctl.events import LightOff
from tests.labctl.engine_process.conversation import PATIENCE_S, Conversation


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(tmp_path / "locks"))


def set_to(talk: Conversation, *what: object) -> HandReport:
    answer = talk.answer(talk.ask(SetPropertyRequest(*what)))  # type: ignore[arg-type]
    assert isinstance(answer, HandReport), answer
    return answer


def value(report: HandReport, instrument: str, name: str, channel: int | None = None) -> object:
    (found,) = [each for each in report.instruments if each.name == instrument]
    assert found.problem == ""
    return next(state.value for state in found.states if (state.name, state.channel) == (name, channel))


def light(talk: Conversation) -> None:
    set_to(talk, "laser", "emission", True)
    for channel in (1, 3):
        set_to(talk, "attenuator", "attenuation_db", 40.0, channel)
        set_to(talk, "attenuator", "shutter_open", True, channel)


def failed(talk: Conversation, request: object) -> Failed:
    answer = talk.answer(talk.ask(request))  # type: ignore[arg-type]
    assert isinstance(answer, Failed), answer
    assert answer.remedy
    return answer


def test_connect_set_read_disconnect(tmp_path: Path) -> None:
    with Conversation(tmp_path) as talk:
        assert "Press Connect" in failed(talk, ReadPropertiesRequest()).remedy
        assert "nowhere" in failed(talk, ConnectRequest("nowhere")).message
        connected = talk.answer(talk.ask(ConnectRequest("ideal")))
        assert isinstance(connected, HandReport)
        assert connected.bench["name"] == "ideal"
        assert len(connected.instruments) == 10
        assert "TSL-570" in connected.instruments[0].identity
        assert "connected already" in failed(talk, ConnectRequest("ideal")).message
        assert "LimitError" in failed(talk, SetPropertyRequest("laser", "power_w", 1.0)).kind
        assert "InterlockError" in failed(talk, SetPropertyRequest("amplifier", "emission", True)).kind
        assert "no instrument" in failed(talk, SetPropertyRequest("lamp", "emission", True)).message
        set_to(talk, "laser", "power_w", 10e-3)
        light(talk)
        report = talk.answer(talk.ask(ReadPropertiesRequest()))
        assert isinstance(report, HandReport)
        assert value(report, "power_meter", "power_w") == pytest.approx(1e-3, rel=0.01)
        assert value(report, "amplifier", "emission") is False
        off = set_to(talk, "laser", "emission", False)
        assert off.switched_off == ("attenuator",)
        assert [each.name for each in off.instruments] == ["attenuator", "laser", "power_meter"]
        assert value(off, "attenuator", "shutter_open", 3) is False
        set_to(talk, "laser", "emission", True)
        dark = talk.answer(talk.ask(DisconnectRequest()))
        assert isinstance(dark, LightOff)
        assert dark.dark
        assert len(dark.readback) == 10
        assert talk.answer(talk.ask(DisconnectRequest())) == LightOff(())
        check_light_off_overtakes_what_was_asked_for_before(talk)
        assert isinstance(talk.answer(talk.ask(ConnectRequest("ideal"))), HandReport)
        os.kill(talk.process.pid, signal.SIGTERM)
        assert talk.process.wait(PATIENCE_S) == 128 + signal.SIGTERM


def check_light_off_overtakes_what_was_asked_for_before(talk: Conversation) -> None:
    assert isinstance(talk.answer(talk.ask(ConnectRequest("ideal"))), HandReport)
    numbers = [talk.ask(SetPropertyRequest("laser", "emission", number % 2 == 0)) for number in range(300)]
    talk.order(Order("abort", "light off"))
    dark = talk.answer(talk.ask(DisconnectRequest()))
    assert isinstance(dark, LightOff)
    assert dark.dark
    last = talk.answer(numbers[-1])
    assert isinstance(last, Failed)
    assert "light off" in last.message

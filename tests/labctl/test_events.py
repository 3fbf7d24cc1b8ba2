"""The bus calls who asked, in order."""

from __future__ import annotations

import pytest

from labctl.events import AlarmRaised, EventBus, LightOff, StateChanged
from labctl.values import SafeState


def test_subscribers_get_their_kind_in_order() -> None:
    bus, heard = EventBus(), []
    bus.subscribe(StateChanged, lambda event: heard.append(("first", event.state)))
    bus.subscribe(StateChanged, lambda event: heard.append(("second", event.state)))
    bus.subscribe(AlarmRaised, lambda event: heard.append(("alarm", event.image)))
    bus.publish(StateChanged("running"))
    bus.publish(AlarmRaised(3, 0.1, 0.05))
    bus.publish(LightOff(()))
    assert heard == [("first", "running"), ("second", "running"), ("alarm", 3)]


def test_a_failing_subscriber_is_heard() -> None:
    bus = EventBus()

    def fail(event: StateChanged) -> None:
        raise RuntimeError(event.state)

    bus.subscribe(StateChanged, fail)
    with pytest.raises(RuntimeError, match="paused"):
        bus.publish(StateChanged("paused"))


def test_dark_only_if_everybody_says_so() -> None:
    assert LightOff((SafeState("a", True), SafeState("b", True))).dark
    assert not LightOff((SafeState("a", True), SafeState("b", False))).dark

"""The classical channel carries the agreed messages, in order, and nothing that could hold weights or data."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from labctl.errors import DataError, ProtocolError
from labctl.parties import channel
from labctl.parties.channel import (
    LayerOffer,
    LayerReady,
    LayerReturned,
    LayerSent,
    LayerVerdict,
    Terms,
    in_process_channel,
)
from labctl.protocol.layers import ACTIVATIONS, Architecture, Convolution, Dense

KINDS = typing.get_args(channel.Message)


def test_both_ways_in_order() -> None:
    server, client = in_process_channel()
    server.send(LayerOffer(0, 1))
    server.send(LayerSent(0, 1))
    client.send(LayerReady(0, 1))
    assert client.receive(LayerOffer) == LayerOffer(0, 1)
    assert client.receive(LayerSent) == LayerSent(0, 1)
    assert server.receive(LayerReady) == LayerReady(0, 1)


def test_nothing_there() -> None:
    server, client = in_process_channel()
    server.send(LayerOffer(0, 0))
    with pytest.raises(ProtocolError, match="no message where a LayerReady was due"):
        server.receive(LayerReady)
    client.receive(LayerOffer)
    with pytest.raises(ProtocolError, match="no message"):
        client.receive(LayerOffer)


@pytest.mark.parametrize("due", [LayerSent, LayerVerdict, Terms])
def test_another_message_than_was_due(due: type) -> None:
    server, client = in_process_channel()
    server.send(LayerOffer(0, 0))
    with pytest.raises(ProtocolError, match=f"a LayerOffer came where a {due.__name__} was due"):
        client.receive(due)


def test_separate_channels_are_separate() -> None:
    one, _ = in_process_channel()
    _, other = in_process_channel()
    one.send(LayerOffer(0, 0))
    with pytest.raises(ProtocolError):
        other.receive(LayerOffer)


def leaves(hint: object) -> set[object]:
    """The types a field may hold, containers opened."""
    if dataclasses.is_dataclass(hint):
        return set().union(*(leaves(each) for each in typing.get_type_hints(hint).values()))
    inner = typing.get_args(hint)
    return {hint} if not inner else set().union(*(leaves(each) for each in inner if each is not Ellipsis))


@pytest.mark.parametrize("kind", KINDS)
def test_messages_hold_whole_numbers_flags_and_the_public_working_point(kind: type) -> None:
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        allowed = {int, bool}
        if kind is Terms and field.name in ("gain", "mean_photons"):
            allowed = {float}
        if field.name == "architecture":  # whole numbers, flags, a word of a few, and at most one scale a layer
            allowed = {int, bool, float, type(None), *ACTIVATIONS}
        assert leaves(hints[field.name]) <= allowed, f"{kind.__name__}.{field.name} could carry more than was agreed"


def test_the_only_sequences_are_the_layers_and_their_scales() -> None:
    sequences = {
        (kind, field.name)
        for kind in (*KINDS, Architecture, Dense, Convolution)
        for field in dataclasses.fields(kind)
        if "tuple" in str(typing.get_type_hints(kind)[field.name])
    }
    assert sequences == {(Architecture, "layers"), (Architecture, "scales")}
    with pytest.raises(DataError, match="3 scales for 1 layers"):
        Architecture((Dense(2, 2),), scales=(0.1, 0.2, 0.3))


def test_every_message_is_known() -> None:
    assert set(KINDS) == {Terms, LayerOffer, LayerReady, LayerSent, LayerReturned, LayerVerdict}

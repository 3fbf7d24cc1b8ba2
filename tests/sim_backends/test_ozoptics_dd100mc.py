"""The simulated DD-100-MC over its serial line."""

from __future__ import annotations

import pytest

from sim_backends.ozoptics_dd100mc import DD100MC
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


def attenuator(**options: object) -> Client:
    return Client(open_unit("ozoptics_dd100mc", "voa", QuietWorld(), options), ending="\r")


def unit_of(client: Client) -> DD100MC:
    assert isinstance(client.unit, DD100MC)
    return client.unit


def raw(client: Client, text: str) -> bytes:
    client.write(text)
    return client.read_bytes()


def test_set_and_position() -> None:
    client = attenuator()
    assert raw(client, "A12.34") == b"Pos:1174\r\nDone\r\n\r\n"
    assert raw(client, "D") == b"DPos:1174\r\nATTEN:12.34\r\nDone\r\n\r\n"
    assert raw(client, "A?") == b"ATTEN:12.34\r\nDone\r\n\r\n"
    assert raw(client, "S-74") == b"Pos:1100\r\nDone\r\n\r\n"
    assert raw(client, "F") == b"Pos:1101\r\nDone\r\n\r\n"
    assert raw(client, "B") == raw(client, "S1100") == b"Pos:1100\r\nDone\r\n\r\n"
    assert raw(client, "RES?") == b"Pos:1100\r\nDone\r\n\r\n"
    assert unit_of(client).state.channels[1].attenuation_db == pytest.approx(11.6)


def test_lf_behind_cr_does_not_count() -> None:
    client = attenuator()
    client.ending = "\r\n"
    assert client.ask("S?").startswith("Pos:0\r\nDone")
    assert client.ask("S?").startswith("Pos:0\r\nDone")


def test_labels_blank_line_and_echo_of_other_units() -> None:
    client = attenuator(label="Atten", blank_line=False, echo=True)
    assert raw(client, "D") == b"D\r\nDPos:0\r\nAtten:0.60(dB)\r\nDone\r\n"
    assert raw(client, "E0") == b"E0\r\nDone\r\n"
    assert raw(client, "S?") == b"Pos:0\r\nDone\r\n"


@pytest.mark.parametrize(
    ("style", "bad", "beyond"), [("Error-n", "Error-2", "Error-6"), ("Error!", "Error!", "Error!")]
)
def test_errors(style: str, bad: str, beyond: str) -> None:
    client = attenuator(errors=style)
    assert client.ask("NONSENSE") == client.ask("A+5") == bad
    for text in ("A0.5", "A60.5", "S99999"):
        assert client.ask(text) == beyond
    assert unit_of(client).state.channels[1].attenuation_db == 0.6


def test_before_it_is_homed_nothing_is_known() -> None:
    client = attenuator(homed=False)
    assert "ATTEN:unknown" in client.ask("D")
    assert client.ask("A10") == "Error-6"
    assert client.ask("H").startswith("Diff=0")
    assert client.ask("A10").startswith("Pos:940")
    client.ask("RST")
    assert "ATTEN:unknown" in client.ask("D")


@pytest.mark.parametrize("blocks", [True, False])
def test_what_passes_at_the_largest_attenuation(blocks: bool) -> None:
    client = attenuator(blocks_at_maximum=blocks, start_db=60.0)
    assert unit_of(client).state.channels[1].shutter_open is not blocks
    client.ask("A59.99")
    assert unit_of(client).state.channels[1].shutter_open

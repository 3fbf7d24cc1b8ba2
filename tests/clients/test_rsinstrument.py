"""RsInstrument, Rohde & Schwarz's own client, which keeps the status system of IEEE 488.2 under constant watch.

It is tried on their RTO6, and on instruments of other makers (``id_query=False``): every command is followed by
``*STB?``, and ``..._with_opc`` waits for the event status bit. It names no VISA library but pyvisa-py; on ``@labctl``
it takes a session that is open.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import pyvisa
from RsInstrument import BinFloatFormat, RsInstrument, StatusException

from labctl.budget.sources import Tables
from tests.clients.desk import PATIENCE_MS, Desk

WAYS = ("direct session", "pyvisa-py", "socketio")
#: One standard deviation of vacuum at 10 mW of local oscillator.
VACUUM_V = 20e-3
POINTS = 5000


@pytest.fixture
def changes() -> Tables:
    """One oscilloscope of theirs, and one that is not."""
    return {"world": {"units": {"client_scope": {"model": "rohdeschwarz_rto6"}}}}


@pytest.fixture(params=WAYS)
def desk(request: pytest.FixtureRequest) -> Desk:
    made = request.getfixturevalue("lab_desk" if request.param == WAYS[0] else "tcp_desk")
    assert isinstance(made, Desk)
    return made


@contextlib.contextmanager
def connected(desk: Desk, way: str, name: str, theirs: bool = False) -> Iterator[RsInstrument]:
    if way == WAYS[0]:
        session = pyvisa.ResourceManager(desk.library).open_resource(desk.resource(name))
        session.read_termination = session.write_termination = "\n"
        client = RsInstrument(None, id_query=theirs, direct_session=session)
    else:
        resource = desk.resource(name).replace("TCPIP0", "TCPIP")
        client = RsInstrument(resource, id_query=theirs, options=f"SelectVisa={way}, VisaTimeout={PATIENCE_MS}")
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def scope(desk: Desk, request: pytest.FixtureRequest) -> Iterator[RsInstrument]:
    laser = desk.lab.units["laser"].state
    laser.emission, laser.power_w = True, 10e-3
    with connected(desk, request.node.callspec.params["desk"], "server_scope") as client:
        yield client


def test_identity_and_synchronisation(scope: RsInstrument) -> None:
    assert "MSO-X 3104T" in scope.idn_string
    assert scope.instrument_status_checking
    assert scope.query_opc()
    scope.write_with_opc("*RST", PATIENCE_MS)
    scope.write_float(":TIM:RANG", 2e-3)
    assert scope.query_float(":TIM:RANG?") == 2e-3
    assert scope.query_int_with_opc(":ACQ:COUN?", PATIENCE_MS) > 0
    scope.write_bool(":CHAN2:DISP", True)
    assert scope.query_bool(":CHAN2:DISP?")
    assert scope.query_all_errors() is None


def test_a_mistake_is_told(scope: RsInstrument) -> None:
    with pytest.raises(StatusException, match="-113"):
        scope.write("FOO:BAR 1")
    with pytest.raises(StatusException, match="-222"):
        scope.write_with_opc(":TIM:RANG 1e9")
    scope.write(":TIM:RANG 1e-3")


def test_a_trace(scope: RsInstrument) -> None:
    scope.write(":CHAN1:SCAL 0.05")
    scope.write(":ACQ:TYPE HRES")
    scope.write(":WAV:SOUR CHAN1")
    scope.write(":WAV:FORM WORD")
    scope.write(":WAV:BYT LSBF")
    scope.write(":WAV:UNS 0")
    scope.write(f":WAV:POIN {POINTS}")
    scope.write_with_opc(":DIG CHAN1", PATIENCE_MS)
    step, origin, reference = (scope.query_float(f":WAV:{name}?") for name in ("YINC", "YOR", "YREF"))
    block = scope.query_bin_block(":WAV:DATA?")
    volts = (np.frombuffer(block, "<i2") - reference) * step + origin
    assert len(volts) == POINTS
    assert volts.std() == pytest.approx(VACUUM_V, rel=0.06)  # exceeded once in 10^8 times


def test_their_own_oscilloscope(desk: Desk, request: pytest.FixtureRequest) -> None:
    laser = desk.lab.units["laser"].state
    laser.emission, laser.power_w = True, 10e-3
    with connected(desk, request.node.callspec.params["desk"], "client_scope", theirs=True) as scope:
        assert scope.manufacturer.startswith("Rohde")
        scope.write_with_opc("*RST", PATIENCE_MS)
        scope.write("CHAN1:STAT ON")
        scope.write_float("CHAN1:SCAL", 0.05)
        assert scope.query_float("CHAN1:SCAL?") == 0.05
        scope.write("FORM REAL,32")
        scope.write("FORM:BORD LSBF")
        scope.bin_float_numbers_format = BinFloatFormat.Single_4bytes
        scope.write_with_opc("RUNSingle", PATIENCE_MS)
        volts = scope.query_bin_or_ascii_float_list("CHAN1:DATA?")
        start, stop, count, each = scope.query("CHAN1:DATA:HEAD?").split(",")[:4]
        assert len(volts) == int(count) * int(each)
        assert float(stop) > float(start)
        assert np.std(volts) > 0
        with pytest.raises(StatusException):
            scope.write("FOO:BAR 1")


def test_a_waveform(desk: Desk, request: pytest.FixtureRequest) -> None:
    codes = (np.arange(-480, 480) * 16).astype("<i2")
    with connected(desk, request.node.callspec.params["desk"], "server_awg") as awg:
        awg.write(":TRAC1:DWID WPR")
        awg.write(f":TRAC1:DEF 1,{len(codes)}")
        awg.write_bin_block(":TRAC1:DATA 1,0,", codes.tobytes())
        assert awg.query_bin_block(f":TRAC1:DATA:BLOC? 1,0,{len(codes)}") == codes.tobytes()
        awg.write_with_opc(":TRAC1:SEL 1;:INIT:CONT 1;:INIT:IMM", PATIENCE_MS)
    playback = desk.lab.units["server_awg"].state.channels[0].playback
    np.testing.assert_array_equal(playback.codes, codes >> 2)

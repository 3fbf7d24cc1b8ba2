"""IQ waveforms of the simulated AWG5200: pairs are kept and read back, and not played."""

from __future__ import annotations

import numpy as np
import pytest

from sim_backends.tektronix_awg5200 import AWG5200
from tests.sim_backends.rig import Client, QuietWorld

NOT_PLAYED = '-221,"Settings conflict;playing an IQ waveform is not simulated"'


@pytest.fixture
def client() -> Client:
    return Client(AWG5200("awg", QuietWorld(), {}))


def send(client: Client, text: str, samples: np.ndarray) -> None:
    data = samples.astype("<f4").tobytes()
    client.connection.receive(text.encode() + b"#%d%d" % (len(str(len(data))), len(data)) + data + b"\n")


def read(client: Client, query: str) -> np.ndarray:
    client.write(query)
    reply = client.read_bytes()
    return np.frombuffer(reply[2 + int(reply[1:2]) : -1], "<f4")


def test_pairs_are_kept_and_read_back(client: Client) -> None:
    i, q = np.linspace(-1, 1, 2400, dtype=np.float32), np.linspace(1, 0, 2400, dtype=np.float32)
    client.write('WLISt:WAVeform:NEW "iq",2400,IQ')
    send(client, 'WLISt:WAVeform:DATA:I "iq",0,2400,', i)
    send(client, 'WLISt:WAVeform:DATA:Q "iq",0,2400,', q)
    assert client.ask('WLISt:WAVeform:TYPE? "iq";LENGth? "iq"') == "IQ;2400"
    assert np.array_equal(read(client, 'WLISt:WAVeform:DATA:I? "iq"'), i)
    assert np.array_equal(read(client, 'WLISt:WAVeform:DATA:Q? "iq",100,50'), q[100:150])
    assert client.errors() == []


def test_it_is_not_played(client: Client) -> None:
    client.write('WLISt:WAVeform:NEW "iq",2400,IQ;:SOURce1:CASSet:WAVeform "iq"')
    assert client.ask("SYSTem:ERRor?") == NOT_PLAYED
    assert client.ask("SOURce1:CASSet?") == '""'


def test_nor_in_a_sequence(client: Client) -> None:
    client.write('WLISt:WAVeform:NEW "iq",2400,IQ;:SLISt:SEQuence:NEW "s",1,1')
    client.write('SLISt:SEQuence:STEP1:TASSet1:WAVeform "s","iq";:SOURce1:CASSet:SEQuence "s",1;:AWGControl:RUN')
    assert client.ask("SYSTem:ERRor?") == NOT_PLAYED


def test_a_real_waveform_has_no_q(client: Client) -> None:
    client.write('WLISt:WAVeform:NEW "w",2400')
    send(client, 'WLISt:WAVeform:DATA:Q "w",', np.zeros(1, np.float32))
    client.write('WLISt:WAVeform:DATA:Q? "w"')
    assert client.read() is None
    assert client.errors() == [-221, -221]

"""The laboratory on TCP ports: byte streams, late answers, and clients that do not behave."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

import pytest
import pyvisa

from labctl.errors import ConfigError
from sim_backends.keysight_m8190a import M8190A
from sim_backends.lab import open_lab
from sim_backends.served_bench import Way
from sim_backends.server import LabServer
from sim_backends.server_line import Limits
from tests.sim_backends.served import ask, gone, line, reset, served

IDN = {
    "laser": (b"*IDN?\r", b"SANTEC,TSL-570,24050001,0026.0026.0011\r"),
    "server_awg": (b"*IDN?\n", b"Agilent Technologies,M8190A,DE53A00001,5.3.0.0-7\n"),
    "amplifier": (b":CAL:SYS:MODEL?\r\n", b"AEDFA-PA-30-B-FA\r\n"),
    "SIM": (b"*IDN?\r\n", b"LABCTL,SIM,0,1.0\n"),
}
SHORT = Limits(silent_s=0.2, stalled_s=0.2, unread_s=0.2)
#: Nothing wakes the server but what should.
QUIET = Limits(silent_s=1e4, stalled_s=1e4, unread_s=1e4)


@pytest.mark.parametrize("name", IDN)
def test_an_instrument_has_its_own_terminators(tmp_path: Path, name: str) -> None:
    question, answer = IDN[name]
    with served(tmp_path) as lab:
        sock = lab.connect(name)
        sock.sendall(question)
        assert line(sock, answer[-1:]) == answer


def test_pieces_make_messages_and_blocks_need_no_terminator(tmp_path: Path) -> None:
    with served(tmp_path) as lab:
        sock = lab.connect("server_awg")
        for piece in (
            b":TRAC1:DEF 1,32",
            b"0;:TRAC1:DATA 1,0,#3",
            b"640",
            bytes(320) + bytes(range(160)) * 2,
            b"*I",
            b"DN?\n",
        ):
            sock.sendall(piece)
            time.sleep(0.002)
        assert line(sock).startswith(b"Agilent")
        assert ask(sock, b":SYST:ERR?") == b'0,"No error"'
        assert ask(sock, b":TRAC1:DATA? 1,0,4") != b""


def test_an_answer_comes_when_another_instrument_gives_the_trigger(tmp_path: Path) -> None:
    with served(tmp_path) as lab:
        scope, generator = lab.connect("server_scope"), lab.connect("server_awg")
        scope.sendall(b":TRIG:SOUR EXT;:TRIG:SWE NORM;:DIG CHAN1;*OPC?\n")
        assert ask(lab.connect("SIM"), b"*IDN?")  # the oscilloscope was told before
        scope.settimeout(0.05)
        with pytest.raises(TimeoutError):
            scope.recv(1)
        scope.settimeout(10)
        generator.sendall(b":INIT:CONT OFF;:INIT:GATE OFF;:TRAC:DEF 1,320,0;:OUTP ON;:INIT:IMM;:TRIG:BEG;*IDN?\n")
        assert line(generator).startswith(b"Agilent")
        assert line(scope) == b"1\n"


def test_an_answer_comes_when_its_time_has_come(tmp_path: Path) -> None:
    """By the wall clock by itself, by the stepped clock when it is moved."""
    slow = {'laser = { model = "santec_tsl570" }': 'laser = { model = "santec_tsl570", settle_s = 0.05 }'}
    with served(tmp_path, QUIET, slow) as lab:
        laser, control = lab.connect("laser"), lab.connect("SIM")
        assert ask_laser(laser, b":POW 5;*WAI;:POW?") == b"+5.00"
        control.sendall(b":CLOC STEP\n")
        assert ask(control, b":CLOC?") == b"STEP"
        laser.sendall(b":POW 6;*WAI;:POW?\r")
        laser.settimeout(0.15)
        with pytest.raises(TimeoutError):
            laser.recv(1)
        laser.settimeout(10)
        control.sendall(b":TIME:ADV 0.05\n")
        assert line(laser, b"\r") == b"+6.00\r"


def ask_laser(sock: socket.socket, command: bytes) -> bytes:
    sock.sendall(command + b"\r")
    return line(sock, b"\r")[:-1]


def test_programs_in_the_server_s_process_look_into_the_same_laboratory(tmp_path: Path) -> None:
    """What they set free reaches network clients as well, though another thread does it."""
    with served(tmp_path, QUIET) as lab:
        scope = lab.connect("server_scope")
        scope.sendall(b":TRIG:SOUR EXT;:TRIG:SWE NORM;:DIG CHAN1;*OPC?\n")
        assert ask(lab.connect("SIM"), b"*IDN?")
        manager = pyvisa.ResourceManager(f"{tmp_path / 'lab.bench.toml'}@labctl")
        generator = manager.open_resource("TCPIP0::192.168.10.21::5025::SOCKET", write_termination="\n")
        generator.write(":INIT:CONT OFF;:INIT:GATE OFF;:TRAC:DEF 1,320,0;:OUTP ON;:INIT:IMM;:TRIG:BEG")
        assert line(scope) == b"1\n"
        manager.close()


def test_the_clock_is_real_again_when_nobody_holds_the_control_instrument(tmp_path: Path) -> None:
    with served(tmp_path) as lab:
        first, second = lab.connect("SIM"), lab.connect("SIM")
        first.sendall(b":CLOC STEP\n")
        assert ask(first, b":CLOC?") == b"STEP"
        first.close()
        assert ask(second, b":CLOC?") == b"STEP"
        second.close()
        end = time.monotonic() + 10
        while open_lab_stepped(tmp_path):
            assert time.monotonic() < end
        assert ask(lab.connect("SIM"), b":CLOC?") == b"REAL"


def open_lab_stepped(folder: Path) -> bool:
    lab = open_lab(str(folder / "lab.bench.toml"))
    try:
        return lab.stepped
    finally:
        lab.close()


# --- clients that do not behave -----------------------------------------------------------------------


def test_who_never_says_anything_is_dropped_and_who_has_spoken_is_not(tmp_path: Path) -> None:
    with served(tmp_path, SHORT) as lab:
        spoken, silent = lab.connect("server_awg"), lab.connect("server_awg")
        assert ask(spoken, b"*IDN?")
        assert gone(silent)
        assert ask(spoken, b"*IDN?")


def test_half_a_message_is_not_waited_for(tmp_path: Path) -> None:
    """Neither of a new client, nor of one that has spoken; and crumbs are no progress."""
    with served(tmp_path, SHORT) as lab:
        fresh, known, crumbs = (lab.connect("server_awg") for _ in range(3))
        fresh.sendall(b"*ID")
        ask(known, b"*IDN?")
        known.sendall(b":TRAC1:DATA 1,0,#6100000")
        assert dropped(crumbs, b"x", pause_s=0.02)
        assert gone(fresh)
        assert gone(known)


def dropped(sock: socket.socket, data: bytes, pause_s: float = 0.0) -> bool:
    """Whether the server drops a client that sends this again and again, and reads nothing."""
    sock.setblocking(False)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            sock.send(data)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            return True
        time.sleep(pause_s)
    return False


def test_a_block_without_terminator_is_a_whole_message(tmp_path: Path) -> None:
    with served(tmp_path, SHORT) as lab:
        sock = lab.connect("server_awg")
        sock.sendall(b":TRAC1:DEF 1,320;:TRAC1:DATA 1,0,#3640" + bytes(640))
        assert gone(lab.connect("server_awg"))  # as much time has passed
        assert ask(sock, b":SYST:ERR?") == b'0,"No error"'


def test_a_long_message_may_take_its_time_as_long_as_it_goes_on(tmp_path: Path) -> None:
    limits = Limits(silent_s=0.2, stalled_s=0.2, progress_bytes=1000)
    with served(tmp_path, limits) as lab:
        sock = lab.connect("server_awg")
        sock.sendall(b":TRAC1:DEF 1,24000;:TRAC1:DATA 1,0,#548000")
        for _ in range(24):
            sock.sendall(bytes(2000))
            time.sleep(0.02)
        assert ask(sock, b":SYST:ERR?") == b'0,"No error"'


def test_a_client_that_does_not_read_is_left_alone_then_dropped(tmp_path: Path) -> None:
    with served(tmp_path, SHORT) as lab:
        deaf, other = lab.connect("server_awg"), lab.connect("server_awg")
        ask(other, b"*IDN?")
        assert dropped(deaf, b"*IDN?\n" * 1000)
        assert ask(other, b"*IDN?")


def test_answers_beyond_all_bounds_end_the_connection(tmp_path: Path) -> None:
    with served(tmp_path, Limits(answers_bytes=10_000)) as lab:
        sock = lab.connect("server_awg")
        sock.sendall(b"*IDN?\n" * 5000)
        assert gone(sock)
        assert ask(lab.connect("server_awg"), b"*IDN?")


def test_text_and_blocks_are_bounded(tmp_path: Path) -> None:
    with served(tmp_path, Limits(text_bytes=5000)) as lab:
        sock = lab.connect("server_awg")
        assert ask(sock, b"*IDN?" + b" " * 300_000 + b"\n:SYST:ERR?").startswith(b"-363,")
        sock.sendall(b":TRAC1:DATA 1,0,#9300000000\n")
        assert ask(lab.connect("server_awg"), b":SYST:ERR?").startswith(b"-223,")


def test_begun_messages_of_all_clients_together_are_bounded(tmp_path: Path) -> None:
    limits = Limits(begun_bytes=150_000, silent_s=0.4)
    with served(tmp_path, limits) as lab:
        socks = [lab.connect("server_awg") for _ in range(2)]
        for sock, size in zip(socks, (90_000, 100_000), strict=True):
            sock.sendall(b":TRAC1:DATA 1,0,#6200000" + bytes(size))
        assert gone(socks[1])
        socks[0].sendall(bytes(200_000 - 90_000))
        assert ask(socks[0], b"*IDN?").startswith(b"Agilent")


def test_many_answers_to_one_message_are_refused(tmp_path: Path) -> None:
    with served(tmp_path) as lab:
        sock = lab.connect("server_awg")
        assert len(ask(sock, b";".join([b"*IDN?"] * 300)).split(b";")) == 200
        assert ask(sock, b":SYST:ERR?").startswith(b"-430,")


def test_a_full_port_makes_room_for_those_who_talk(tmp_path: Path) -> None:
    with served(tmp_path, Limits(connections_per_port=3)) as lab:
        first = lab.connect("server_awg")
        ask(first, b"*IDN?")
        silent = lab.connect("server_awg")
        third, fourth = lab.connect("server_awg"), None
        ask(third, b"*IDN?")
        fourth = lab.connect("server_awg")
        assert ask(fourth, b"*IDN?")
        assert gone(silent)
        assert lab.refused("server_awg")  # all three have spoken
        assert ask(first, b"*IDN?")
        fourth.close()
        assert ask(third, b"*IDN?")
        assert ask(lab.connect("server_awg"), b"*IDN?")


def test_400_half_open_connections_do_not_keep_anybody_out(tmp_path: Path) -> None:
    with served(tmp_path, Limits(connections=300)) as lab:
        names = [address.name for address in lab.server.addresses]
        crowd = [lab.connect(names[i % len(names)]) for i in range(400)]
        sock = lab.connect("server_awg")
        for _ in range(20):
            assert ask(sock, b"*IDN?")
        assert sum(gone_at_once(each) for each in crowd) >= 100


def gone_at_once(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_noise_on_every_port_harms_nobody(tmp_path: Path) -> None:
    """Seeded; the control instrument is spared, since it would be obeyed."""
    dice = random.Random(7)
    alphabet = [
        b"HS",
        b"*",
        b"?",
        b"\n",
        b"#9",
        b"#0",
        b'"',
        b";:TRAC1:DEF 1",
        b"\0",
        b"\xff\xff\xff\xff",
        b",",
        b"1e99",
    ]
    with served(tmp_path, SHORT) as lab:
        for address in lab.server.addresses[1:] * 3:
            try:
                sock = lab.connect(address.name, address.way)
                for _ in range(dice.randrange(1, 6)):
                    sock.sendall(b"".join(dice.choices(alphabet, k=dice.randrange(1, 200))))
            except OSError:
                continue
            if dice.random() < 0.5:
                reset(sock)
        assert ask(lab.connect("SIM"), b"*IDN?") == b"LABCTL,SIM,0,1.0"
        for name in ("server_awg", "server_scope", "attenuator"):
            assert ask(lab.connect(name), b"*CLS;*IDN?")


# --- faults -------------------------------------------------------------------------------------------


def test_an_unplugged_unit_hangs_up_and_refuses_until_it_is_well(tmp_path: Path) -> None:
    with served(tmp_path) as lab:
        control, sock = lab.connect("SIM"), lab.connect("server_awg")
        ask(sock, b"*IDN?")
        assert ask(control, b':FAUL "server_awg",UNPLUG;:SYST:ERR?') == b'0,"No error"'
        assert gone(sock)
        assert lab.refused("server_awg")
        assert ask(control, b":FAUL:CLE;:SYST:ERR?") == b'0,"No error"'
        assert ask(lab.connect("server_awg"), b"*IDN?")


def test_a_silent_unit_keeps_the_connection(tmp_path: Path) -> None:
    with served(tmp_path, SHORT) as lab:
        control, sock = lab.connect("SIM"), lab.connect("server_awg")
        assert ask(control, b':FAUL "server_awg",SILENT;:SYST:ERR?') == b'0,"No error"'
        sock.sendall(b"*IDN?\n")
        sock.settimeout(0.6)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(10)
        ask(control, b":FAUL:CLE;:SYST:ERR?")
        assert ask(sock, b"*IDN?")


def test_a_failure_inside_an_instrument_costs_one_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path) as lab:
        monkeypatch.setattr(M8190A, "identity", lambda self: 1 // 0)
        sock, laser = lab.connect("server_awg"), lab.connect("laser")
        sock.sendall(b"*IDN?\n")
        assert gone(sock)
        assert isinstance(lab.failures.pop(), ZeroDivisionError)
        assert ask(lab.connect("server_awg"), b"*OPC?") == b"1"
        assert ask_laser(laser, b"*IDN?")


# --- ports --------------------------------------------------------------------------------------------


def test_ports_follow_the_base_and_one_in_use_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lab.bench.toml"
    with served(tmp_path):
        base = free_run(17)
        with LabServer(path, port_base=base) as server:
            assert [address.port for address in server.addresses] == list(range(base, base + 17))
            assert server.addresses[0].name == "SIM"
            with pytest.raises(ConfigError, match=f"port {base} "):
                LabServer(path, port_base=base)
    with pytest.raises(ConfigError, match="port 65536"):
        LabServer(path, port_base=65530)
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        LabServer(path, host="192.0.2.1")


def free_run(count: int) -> int:
    """The first of ``count`` ports in a row that are free, below those that the kernel gives out."""
    for base in range(20000 + 17 * random.Random().randrange(100), 32000, count):
        socks: list[socket.socket] = []
        try:
            socks += [socket.create_server(("127.0.0.1", base + i)) for i in range(count)]
        except OSError:
            continue
        finally:
            for sock in socks:
                sock.close()
        return base
    raise AssertionError("no ports are free")


def test_who_has_hislip_is_served_by_it_as_well(tmp_path: Path) -> None:
    with served(tmp_path) as lab:
        ways = {(address.name, address.way) for address in lab.server.addresses}
    assert {("power_meter", Way.HISLIP), ("server_awg", Way.HISLIP), ("server_awg", Way.SOCKET)} <= ways
    assert {("amplifier", Way.SERIAL), ("laser", Way.SOCKET)} <= ways
    assert not {("laser", Way.HISLIP), ("amplifier", Way.SOCKET), ("power_meter", Way.SOCKET)} & ways

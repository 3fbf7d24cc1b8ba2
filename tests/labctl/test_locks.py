"""Locks on instruments: who holds what, seen from other programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl import locks
from labctl.clock import SteppedClock
from labctl.errors import InstrumentBusy

RESOURCE = "TCPIP0::192.168.10.11::5000::SOCKET"
HOLD = """
import signal, sys
from labctl import locks
if {deaf}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
held = locks.{what}
print("held", flush=True)
sys.stdin.read()
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def start() -> Iterator[Start]:
    """Another program that takes a lock and keeps it."""
    begun: list[subprocess.Popen[str]] = []

    def begin(what: str = f"take('laser', {RESOURCE!r})", deaf: bool = False) -> subprocess.Popen[str]:
        code = HOLD.format(what=what, deaf=deaf)
        made = subprocess.Popen(
            [sys.executable, "-c", code, "--of", "somebody"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        begun.append(made)
        assert made.stdout is not None
        assert made.stdout.readline() == "held\n"
        return made

    yield begin
    for each in begun:
        each.kill()
        each.communicate()


def test_the_second_program_is_told_who_was_first(start: Start) -> None:
    first = start()
    with pytest.raises(InstrumentBusy, match=rf"laser: is held by .*--of somebody \(process {first.pid}\)") as caught:
        locks.take("laser", RESOURCE.lower())
    assert "labctl bench safe" in caught.value.remedy
    found = locks.holder(RESOURCE)
    assert found is not None
    assert found.pid == first.pid
    locks.take("other", "TCPIP0::192.168.10.12::5000::SOCKET").release()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_ends_with_its_owner(start: Start, number: signal.Signals) -> None:
    first = start()
    first.send_signal(number)
    first.wait()
    assert locks.holder(RESOURCE) is None
    held = locks.take("laser", RESOURCE)
    assert locks.holder(RESOURCE) == locks.Owner(os.getpid(), *_mine(held))
    held.release()
    held.release()
    assert locks.holder(RESOURCE) is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/usr/local/bin/labctl", "run", "digits"], "labctl run digits"),
        (
            [str(Path(locks.__file__).parent / "cli" / "__main__.py"), "bench", "safe", "x.toml"],
            "labctl bench safe x.toml",
        ),
        (["/home/me/scan.py"], "scan.py"),
        (["-c", "--of", "somebody"], "python --of somebody"),
        ([""], "python"),
        ([], "python"),
        (["scan.py", "x" * 200], f"scan.py {'x' * 89}..."),
    ],
)
def test_a_program_is_called_what_its_user_typed(words: list[str], told: str) -> None:
    assert locks.program_name(words) == told


def _mine(held: locks.Held) -> tuple[str, float]:
    found = locks.holder(RESOURCE)
    assert found is not None
    return found.program, found.since


def test_an_owner_is_asked_first(start: Start) -> None:
    first = start()
    owner = locks.holder(RESOURCE)
    assert owner is not None
    assert "was asked to stop, and did" in locks.end(owner, lambda: first.poll() is not None)
    assert first.returncode == -signal.SIGTERM


def test_an_owner_that_does_not_stop_is_killed(start: Start) -> None:
    first = start(deaf=True)
    owner = locks.holder(RESOURCE)
    assert owner is not None
    clock = SteppedClock()
    told = locks.end(owner, lambda: clock.now() > 1.0 and first.wait() is not None, clock)
    assert "did not stop; killed" in told
    assert first.returncode == -signal.SIGKILL
    assert 1.0 <= clock.now() <= 1.1
    assert "had ended" in locks.end(owner, lambda: True)


def test_worlds_of_their_own_keep_nobody_out(start: Start) -> None:
    bench = "/somewhere/ideal.bench.toml"
    others = [start(f"attend({bench!r})") for _ in range(2)]
    mine = locks.attend(bench)
    assert {owner.pid for owner in locks.attending(bench)} == {other.pid for other in others}
    assert list(locks.attending("/somewhere/else.toml")) == []
    others[0].kill()
    others[0].wait()
    assert [owner.pid for owner in locks.attending(bench)] == [others[1].pid]
    mine.release()


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    locks.take("laser", RESOURCE).release()
    (path,) = folder.iterdir()
    path.unlink()
    path.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        locks.take("laser", RESOURCE)
    assert victim.read_text() == "precious"


def test_the_folder_serves_all_users(folder: Path) -> None:
    locks.take("laser", RESOURCE)
    assert folder.stat().st_mode & 0o7777 == 0o1777
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o666

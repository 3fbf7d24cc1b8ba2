"""``labctl sim serve`` with a server that only tells."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from labctl.cli import app, sim_commands
from labctl.errors import ConfigError
from labctl.shipped import bench_path
from sim_backends.served_bench import MARK

Capture = pytest.CaptureFixture[str]
BENCH_TOML = f"{MARK} And so on.\n"


@dataclass
class Address:
    name: str
    resource: str


class Server:
    """Serves until a signal comes, which it sends itself."""

    made: ClassVar[list[tuple[Path, str, int]]] = []
    log: ClassVar[list[str]] = []
    refuses: ClassVar[ConfigError | None] = None
    addresses: Sequence[Address] = (Address("SIM", "TCPIP0::h::1::SOCKET"), Address("laser", "TCPIP0::h::2::SOCKET"))

    def __init__(self, bench: Path, host: str, port_base: int, complain: object) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.made.append((bench, host, port_base))

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *reason: object) -> None:
        self.log.append("closed")

    def bench_toml(self) -> str:
        return BENCH_TOML

    def run(self) -> None:
        signal.raise_signal(signal.SIGTERM)

    def stop(self) -> None:
        self.log.append("stopped")


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> type[Server]:
    monkeypatch.setattr(sim_commands, "SERVER", f"{__name__}:Server")
    monkeypatch.setattr(sim_commands, "resolve_name", lambda name: Server if "Server" in name else MARK)
    monkeypatch.setattr(Server, "made", [])
    monkeypatch.setattr(Server, "log", [])
    monkeypatch.setattr(Server, "refuses", None)
    return Server


def perform(*words: str) -> int:
    return app.perform(["sim", "serve", *words], debug=False)


def test_the_bench_file_goes_to_standard_output(server: type[Server], capsys: Capture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert perform("ideal") == 0
    assert server.made == [(bench_path("ideal"), "127.0.0.1", sim_commands.PORT_BASE)]
    assert server.log == ["stopped", "closed"]
    assert signal.getsignal(signal.SIGTERM) is before
    told = capsys.readouterr()
    assert told.out == BENCH_TOML
    assert "labctl: laser  TCPIP0::h::2::SOCKET\n" in told.err
    assert "WARNING" not in told.err


def test_or_to_a_file_that_was_written_here_before(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "served.toml"
    for _ in range(2):
        assert perform("ideal", "--port-base", "0", "--write", str(path)) == 0
        assert path.read_text() == BENCH_TOML
    assert [each.name for each in tmp_path.iterdir()] == ["served.toml"]
    told = capsys.readouterr()
    assert told.out == ""
    assert str(path) in told.err


def test_no_other_file_is_overwritten(server: type[Server], tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("mine")
    assert perform("ideal", "--write", str(path)) == 2
    assert path.read_text() == "mine"
    assert "did not write it" in capsys.readouterr().err
    assert perform("ideal", "--write", str(tmp_path / "none" / "x.toml")) == 2
    assert server.made == []


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("localhost", False), ("::1", False), ("lab", True)])
def test_other_computers_are_warned_of(host: str, warned: bool, capsys: Capture) -> None:
    assert perform("ideal", "--host", host) == 0
    assert ("WARNING" in capsys.readouterr().err) == warned


def test_a_port_in_use(server: type[Server], monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(server, "refuses", ConfigError("cannot serve at port 15025", "Choose another --port-base."))
    assert perform("ideal") == 2
    assert "port 15025" in capsys.readouterr().err

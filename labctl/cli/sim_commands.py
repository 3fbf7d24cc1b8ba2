"""``labctl sim serve``. The server is found by name, so that nothing here imports the simulated lab."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from labctl.cli import exits
from labctl.cli.report import say, say_error
from labctl.cli.signals import stopping_by

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Puts the instruments of a bench file's simulated lab on TCP ports.
SERVER = "sim_backends.server:LabServer"
#: The control instrument's; the instruments' follow.
PORT_BASE = 15025
_LAST_PORT = 65535


class Address(Protocol):
    """Where one instrument answers."""

    name: str

    @property
    def resource(self) -> str: ...


class Server(AbstractContextManager["Server"], Protocol):
    """The part of the server that is used here."""

    @property
    def addresses(self) -> Sequence[Address]: ...

    def bench_toml(self) -> str: ...

    def run(self) -> None: ...

    def stop(self) -> None: ...


def serve(
    bench: Annotated[str, typer.Argument(metavar="BENCH", help="BENCH.toml with a [world], or a shipped bench.")],
    port_base: Annotated[
        int, typer.Option(min=0, max=_LAST_PORT, help="First port, of SIM; 0: whatever ports are free.")
    ] = PORT_BASE,
    host: Annotated[str, typer.Option(help="Address of this computer to listen at.")] = "127.0.0.1",
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the bench file there, not to standard output.")
    ] = None,
) -> int:
    """Serve the simulated instruments of a bench over TCP until a signal comes; print a bench file that uses them."""
    from labctl.shipped import bench_path

    if write is not None:
        _check_target(write)
    make: Callable[..., Server] = resolve_name(SERVER)
    with (
        make(bench_path(bench), host=host, port_base=port_base, complain=say_error) as server,
        stopping_by(server.stop),
    ):
        _announce(server, host, write)
        server.run()
    say("no longer serving")
    return exits.ACCEPTED


def _announce(server: Server, host: str, write: Path | None) -> None:
    if not _loopback(host):
        say(f"WARNING: whoever reaches {host!r} over the network can operate this lab, and nobody asks for a password.")
    width = max(len(address.name) for address in server.addresses)
    for address in server.addresses:
        say(f"{address.name:{width}}  {address.resource}")
    if write is None:
        print(server.bench_toml(), end="", flush=True)
    else:
        partial = write.with_name(f".{write.name}.{os.getpid()}")
        partial.write_text(server.bench_toml(), encoding="utf-8")
        partial.replace(write)
        say(f"bench file: {write}")
    say("serving; Ctrl-C ends it")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_target(path: Path) -> None:
    """Only files that were written here before are replaced. Raises ConfigError."""
    from labctl.errors import ConfigError

    mark = resolve_name("sim_backends.served_bench:MARK")
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(mark):
        raise ConfigError(f"{path} exists, and labctl sim serve did not write it", "Name another file for --write.")
    if not path.resolve().parent.is_dir():
        raise ConfigError(f"{path}: there is no such folder", "Make it, or name another file for --write.")

"""``labctl bench list`` and ``labctl bench new``: what is connected, and a bench file from it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli import exits
from labctl.cli.report import print_json, say
from labctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.values import FoundInstrument

ResourceOption = Annotated[
    list[str] | None, typer.Option("--resource", help="A VISA resource to ask, with every driver for such a line.")
]
HostOption = Annotated[
    list[str] | None, typer.Option("--host", help="A host whose sockets to ask: VISA libraries do not list those.")
]
AllOption = Annotated[
    bool, typer.Option("--all", help="Ask what the library lists as well, where resources or hosts are named.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
]
SIMULATED = "@labctl"


def list_(
    bench: Annotated[
        str | None, typer.Argument(metavar="[BENCH]", help="Ask the resources of this BENCH.toml, or shipped bench.")
    ] = None,
    library: Annotated[
        str | None,
        typer.Option(help='VISA library: "@py" (default), "@ivi", or "BENCH.toml@labctl" for a simulated lab.'),
    ] = None,
    resource: ResourceOption = None,
    host: HostOption = None,
    all_: AllOption = False,
    json: JsonOption = False,
) -> int:
    """Ask the VISA resources in reach who they are, and tell which driver knows them. No light is changed."""
    from labctl.discovery import Search, entries_of, look_around
    from labctl.shipped import bench_path

    entries, of_file = ({}, None) if bench is None else entries_of(bench_path(bench))
    used = library or of_file or "@py"
    found = look_around(Search(used, tuple(resource or ()), tuple(host or ()), entries, all_))
    names = {entry.resource: name for name, entry in entries.items()}
    if json:
        print_json({"library": used, "found": [_row(each, names.get(each.resource)) for each in found]})
    else:
        for each in found:
            _show(each, names.get(each.resource))
    say(_counted(found))
    return exits.ACCEPTED


def new(
    file: Annotated[Path, typer.Argument(metavar="BENCH.toml", help="The file to write; it must not exist.")],
    library: Annotated[str, typer.Option(help='VISA library: "@py" or "@ivi".')] = "@py",
    resource: ResourceOption = None,
    host: HostOption = None,
    all_: AllOption = False,
) -> int:
    """Write a commented bench file from what answers; what must be decided or measured is left open in it."""
    from labctl.discovery import Search, look_around
    from labctl.newbench import bench_text

    if not file.name.endswith(".toml"):
        raise ConfigError(f"{file} does not end with .toml", "Name it like my.bench.toml.")
    if library.endswith(SIMULATED):
        raise ConfigError(
            f"{library} is a simulated lab, whose [world] no instrument tells: a bench file made from it would not run",
            "Copy its bench file; or put the lab on the network with 'labctl sim serve', and name its resources.",
        )
    if file.exists():
        raise _exists(file)
    name = file.name.removesuffix(".toml").removesuffix(".bench").replace(".", "-")
    found = look_around(Search(library, tuple(resource or ()), tuple(host or ()), all_listed=all_))
    text = bench_text(name, library, found, datetime.now(UTC))
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise _exists(file) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}", "Name a file in a folder that is.") from None
    say(f"{file}: {_counted(found)}; now decide what is left open in the file")
    return exits.ACCEPTED


def _exists(file: Path) -> ConfigError:
    return ConfigError(f"{file} exists", "Name another file, or take that one away.")


def _show(found: FoundInstrument, name: str | None) -> None:
    where = found.resource if name is None else f"{name}: {found.resource}"
    print(f"{where}: {found.identity or found.presence.value}")
    if found.driver:
        print(f"    driver     {found.driver}")
    if found.problem:
        print(f"    problem    {found.problem}")


def _counted(found: Sequence[FoundInstrument]) -> str:
    """How many of those that answered are known, and how many there are besides."""
    from labctl.values import Presence

    if not found:
        return "nothing is in reach; name sockets with --host or --resource"
    numbers = Counter(each.presence for each in found)
    answered = numbers[Presence.RECOGNISED] + numbers[Presence.UNKNOWN]
    told = [f"{numbers[Presence.RECOGNISED]} of {answered} that answered are recognised"]
    for each in (Presence.NOT_ASKED, Presence.HELD, Presence.LOST, Presence.SILENT):
        told += [f"{numbers[each]} {each.value}"] if numbers[each] else []
    return "; ".join(told)


def _row(found: FoundInstrument, name: str | None) -> dict[str, Any]:
    who = found.identity
    return {
        "name": name,
        "resource": found.resource,
        "state": found.presence.value,
        "driver": found.driver or None,
        "kind": found.kind or None,
        "identity": None
        if who is None
        else {"vendor": who.vendor, "model": who.model, "serial": who.serial, "firmware": who.firmware},
        "problem": found.problem or None,
        "holder": None if found.holder_pid is None else {"program": found.holder, "pid": found.holder_pid},
    }

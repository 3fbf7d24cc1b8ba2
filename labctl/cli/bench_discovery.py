"""``labctl bench list`` and ``labctl bench new``: what is connected, and a bench file from it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli import exits
from labctl.cli.report import print_json, say
from labctl.errors import ConfigError

if TYPE_CHECKING:
    from labctl.values import FoundInstrument

#: By name: labctl itself imports no driver.
DISCOVERY = "drivers.discovery"

LibraryOption = Annotated[
    str, typer.Option(help='VISA library: "@py", "@ivi", or "BENCH.toml@labctl" for a simulated lab.')
]
ResourceOption = Annotated[
    list[str] | None, typer.Option("--resource", help="A VISA resource to ask besides those that the library lists.")
]
HostOption = Annotated[
    list[str] | None, typer.Option("--host", help="A host whose sockets to ask: VISA libraries do not list those.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
]


def list_(
    library: LibraryOption = "@py", resource: ResourceOption = None, host: HostOption = None, json: JsonOption = False
) -> int:
    """Ask every VISA resource in reach who it is, and tell which driver knows it. No light is changed."""
    found = look_around(library, resource or [], host or [])
    if json:
        print_json({"library": library, "found": [_row(each) for each in found]})
    else:
        for each in found:
            print(f"{each.resource}: {each.identity or 'unknown'}")
            print(f"    {'driver     ' + each.driver if each.driver else 'problem    ' + each.problem}")
    if not found:
        say("nothing is in reach; name sockets with --host or --resource")
    return exits.ACCEPTED


def new(
    file: Annotated[Path, typer.Argument(metavar="BENCH.toml", help="The file to write; it must not exist.")],
    library: LibraryOption = "@py",
    resource: ResourceOption = None,
    host: HostOption = None,
) -> int:
    """Write a commented bench file from what answers; what must be decided or measured is left open in it."""
    from labctl.newbench import bench_text

    if not file.name.endswith(".toml"):
        raise ConfigError(f"{file} does not end with .toml", "Name it like my.bench.toml.")
    name = file.name.removesuffix(".toml").removesuffix(".bench").replace(".", "-")
    found = look_around(library, resource or [], host or [])
    kept = "@labctl" if library.endswith("@labctl") else library
    text = bench_text(name, kept, found, datetime.now(UTC))
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigError(f"{file} exists", "Name another file, or take that one away.") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}", "Name a file in a folder that is.") from None
    known = [each for each in found if each.driver]
    say(f"{file}: {len(known)} of {len(found)} that answered have a driver; now decide what is left open in the file")
    return exits.ACCEPTED


def look_around(library: str, resources: list[str], hosts: list[str]) -> list[FoundInstrument]:
    """Everything in reach that no other program holds, and those that one holds, as such."""
    from labctl import locks
    from labctl.values import FoundInstrument

    discovery: Any = resolve_name(DISCOVERY)
    names = [*discovery.visible(library), *resources, *(each for host in hosts for each in discovery.on_host(host))]
    in_use, free = {}, []
    for name in dict.fromkeys(names):
        holder = None if library.endswith("@labctl") else locks.holder(name)
        if holder is None:
            free.append(name)
        else:
            in_use[name] = FoundInstrument(name, problem=f"is held by {holder}")
    found = {each.resource: each for each in discovery.recognised(library, free)} | in_use
    silent = {each for host in hosts for each in discovery.on_host(host)}
    return [found[name] for name in dict.fromkeys(names) if name not in silent or _there(found[name])]


def _there(found: FoundInstrument) -> bool:
    """Whether a socket that was only tried is worth a word: a closed port is not."""
    return not any(word in found.problem for word in ("cannot open", "refused", "the line broke"))


def _row(found: FoundInstrument) -> dict[str, Any]:
    who = found.identity
    return {
        "resource": found.resource,
        "driver": found.driver or None,
        "kind": found.kind or None,
        "identity": None
        if who is None
        else {"vendor": who.vendor, "model": who.model, "serial": who.serial, "firmware": who.firmware},
        "problem": found.problem or None,
    }

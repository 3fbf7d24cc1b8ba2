"""The ``labctl`` command: its parser, and the one place where errors become messages and exit statuses."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from labctl.cli import (
    bench_commands,
    bench_discovery,
    budget_command,
    calibrate_command,
    exits,
    export_commands,
    gui_command,
    leakage_commands,
    ledger_commands,
    model_commands,
    power_command,
    record_commands,
    reproduce_command,
    run_commands,
    sim_commands,
)
from labctl.cli.report import print_json, say, say_error
from labctl.cli.signals import stopping_at_once
from labctl.errors import ConfigError
from labctl.signals import Stopped
from labctl.version import __version__

#: Errors of the command line itself, wherever typer keeps them.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="labctl",
    help="Quantum-secure deep-learning inference on a photonic bench, real or simulated.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="Look at a bench, and make it safe.", no_args_is_help=True, rich_markup_mode=None)
model = typer.Typer(help="Train networks.", no_args_is_help=True, rich_markup_mode=None)
ledger = typer.Typer(help="Look at what leaked so far.", no_args_is_help=True, rich_markup_mode=None)
sim = typer.Typer(help="Serve the simulated lab to other programs.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(bench, name="bench")
app.add_typer(ledger, name="ledger")
app.add_typer(model, name="model")
app.add_typer(sim, name="sim")
app.command()(run_commands.demo)
app.command()(run_commands.run)
app.command()(gui_command.gui)
app.command()(leakage_commands.leakage)
app.command()(leakage_commands.optimise)
app.command()(budget_command.noise_budget)
app.command()(power_command.power)
app.command()(calibrate_command.calibrate)
app.command()(reproduce_command.reproduce)
app.command()(export_commands.export)
app.command()(export_commands.report)
app.command()(record_commands.verify)
app.command()(record_commands.recover)
app.command()(record_commands.diff)
bench.command()(bench_commands.check)
bench.command("list")(bench_discovery.list_)
bench.command()(bench_discovery.new)
bench.command()(bench_commands.snapshot)
bench.command()(bench_commands.safe)
bench.command()(bench_commands.rearm)
bench.command()(bench_commands.technical_noise)
ledger.command()(ledger_commands.show)
model.command()(model_commands.train)
sim.command()(sim_commands.serve)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"labctl {__version__}")
        raise typer.Exit


@app.callback()
def _labctl(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
) -> None:
    """Options of all commands; ``--debug`` is taken out of the arguments before they get here."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Console entry point: run the command, and exit with its status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Greek letters ends no run
    raise SystemExit(perform([word for word in words if word != "--debug"], debug=debug))


def perform(words: list[str], *, debug: bool) -> int:
    """Run one command line; every error becomes a message, an object where ``--json`` asks for it, and a status."""
    json = "--json" in words
    try:
        with stopping_at_once():
            return app(words, prog_name="labctl", standalone_mode=False) or 0
    except Stopped as stop:
        _fail(stop, json)
        say(str(stop))
        return exits.SIGNALLED + stop.number
    except UsageError as error:
        return _misused(error, json)
    except Exception as error:  # noqa: BLE001 - nothing is above: a traceback is for those who ask for it
        _fail(error, json)
        say_error(error, debug=debug)
        return exits.status_of(error)


def _fail(error: BaseException, json: bool) -> None:
    if json:
        from labctl.summary import failure

        print_json(failure(error, None))


def _misused(error: Exception, json: bool) -> int:
    """A command line that cannot be understood; one that says nothing at all gets the help."""
    message = str(getattr(error, "format_message", error.__str__)())
    if message.startswith("Usage:"):
        print(message, file=sys.stderr)
        return exits.USAGE
    context = getattr(error, "ctx", None)
    told = ConfigError(message, f"Try '{context.command_path if context else 'labctl'} --help'.")
    _fail(told, json)
    say_error(told)
    return exits.USAGE

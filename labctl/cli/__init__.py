"""The command line: ``labctl`` (docs/reference/cli.md). Heavy modules are imported by the commands that need them."""

from __future__ import annotations

from labctl.cli.app import main

__all__ = ["main"]

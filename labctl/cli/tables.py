"""A plain table on standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from labctl.cli.result import PLAIN_WIDTH

#: Of a table whose labels are not broken, where it goes into a file or pipe.
WIDE = 150


def show_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, wrap: bool = True) -> None:
    """The first column to the left, numbers to the right. ``wrap``: whether long labels of the first may be broken."""
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH if wrap else WIDE, highlight=False)
    table = Table(box=SIMPLE)
    for number, head in enumerate(heads):
        table.add_column(
            head, justify="left" if number == 0 else "right", overflow="fold", no_wrap=not (wrap or number)
        )
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)

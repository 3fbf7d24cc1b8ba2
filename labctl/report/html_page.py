"""A run as one page of HTML that needs nothing else: no script, no link, pictures within.

All that comes from the run file is escaped, and the page itself forbids a browser to load anything.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

from labctl.record.reader import Run
from labctl.report.figures import figures
from labctl.report.tables import Sheet, records, sheets, text, verdict
from labctl.version import __version__

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1f23; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 0.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid #dfe3e8; overflow-wrap: anywhere; }
th { font-weight: 600; }
figure { margin: 0 0 1.5rem; } figure img { max-width: 100%; height: auto; }
figcaption, .note { color: #59616b; font-size: 0.9rem; }
.verdict { border-left: 0.5rem solid #6b7280; background: #f4f6f8; padding: 0.7rem 1rem; margin: 1rem 0; }
.accepted { border-color: #3f7d3a; } .alarm, .failed { border-color: #b5442e; } .aborted { border-color: #b98a1d; }
.verdict strong { text-transform: uppercase; letter-spacing: 0.05em; }
details { margin: 0.4rem 0; } summary { cursor: pointer; font-weight: 600; }
@media print { details { break-inside: avoid; } body { max-width: none; } }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_WORDS = ("accepted", "alarm", "aborted", "failed", "running", "complete")


def page(run: Run) -> str:
    """The whole page."""
    started = run.started
    kind = "simulated bench" if started.simulated else "bench"
    title = f"{text(started.name)}, seed {started.seed}"
    bench = text(started.bench.get("name", "?"))
    began, ended = (text(str(run.provenance.get(key, "not known"))) for key in ("started", "finished"))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="note">On the {kind} {escape(bench)}. Began {escape(began)}, ended {escape(ended)}. '
        f"Run file {escape(run.path.name)}, written by {escape(text(started.software))}.</p>",
        _verdict(run),
        *map(_section, sheets(run)),
        "<h2>Figures</h2>",
        *(_figure(caption, png) for caption, png in figures(run)),
        "<h2>Records</h2>",
        *map(_folded, records(run)),
        f'<p class="note">Report by labctl {escape(__version__)}.</p></body></html>',
    ]
    return "\n".join(parts) + "\n"


def _verdict(run: Run) -> str:
    word, sentence = verdict(run)
    style = word if word in _WORDS else "running"
    return f'<div class="verdict {style}"><strong>{escape(word)}</strong><br>{escape(text(sentence))}</div>'


def _section(sheet: Sheet) -> str:
    note = f'<p class="note">{escape(sheet.note)}</p>' if sheet.note else ""
    return f"<h2>{escape(sheet.title)}</h2>{_table(sheet)}{note}"


def _folded(sheet: Sheet) -> str:
    return f"<details><summary>{escape(sheet.title)}</summary>{_table(sheet)}</details>"


def _table(sheet: Sheet) -> str:
    rows = "".join(_row(row, "td") for row in sheet.rows)
    return f"<table>{_row(sheet.heads, 'th')}{rows}</table>"


def _row(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _figure(caption: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    told = escape(caption)
    return f'<figure><img alt="{told}" src="data:image/png;base64,{data}"><figcaption>{told}</figcaption></figure>'

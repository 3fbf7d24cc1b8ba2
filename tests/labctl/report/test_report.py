"""A run as CSV and as one page of HTML: everything is there, and nothing of the file gets into the page unescaped."""

from __future__ import annotations

import base64
import csv
import io
import re
import struct
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.errors import RecordError
from labctl.events import AdversaryResult, AttackResult, Event, EventBus, RecoveryResult
from labctl.record import Run, open_run
from labctl.record.writer import RunWriter
from labctl.report import export_csv, page
from labctl.report.figures import figures
from tests.labctl import sample_run

EVIL = "<script>alert('x')</script>\"'&\u202e$\\frac{1}{"


def recorded(folder: Path, events: Iterable[Event]) -> Run:
    writer, bus = RunWriter(folder, "sample", 7), EventBus()
    writer.attach(bus)
    for event in events:
        bus.publish(event)
    writer.close()
    assert writer.path is not None
    return open_run(writer.path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return recorded(tmp_path_factory.mktemp("runs"), sample_run.whole_run(30))


@pytest.fixture(scope="module")
def shown(run: Run) -> str:
    return page(run)


class Reader(HTMLParser):
    """Tags that are open, attributes, and the text outside of styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for key, value in attrs if key in ("src", "href") or key.startswith("on")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if "style" not in self.open else ""


# --- CSV ------------------------------------------------------------------------------------------


def test_the_same_numbers_are_read_back(tmp_path: Path, run: Run) -> None:
    files = export_csv(run, tmp_path / "new")
    assert [path.name.removeprefix(f"{run.path.stem}-") for path in files] == [
        "images.csv",
        "layer-0.csv",
        "layer-1.csv",
    ]
    with files[0].open(newline="") as stream:
        head, *rows = csv.reader(stream)
    assert head[:8] == [
        "index",
        "label",
        "prediction",
        "correct",
        *(f"accuracy{end}" for end in ("", "_low", "_high")),
        "excess [SNU]",
    ]
    assert {"time_s [s]", "scores_0", "scores_9"} <= set(head)
    assert len(rows) == 30
    for name, unit in (("excess", " [SNU]"), ("threshold", " [SNU]"), ("index", "")):
        column = [float(row[head.index(f"{name}{unit}")]) for row in rows]
        np.testing.assert_array_equal(column, run.images[name])
    scores = [[float(row[head.index(f"scores_{number}")]) for number in range(10)] for row in rows]
    np.testing.assert_array_equal(scores, run.images["scores"])
    assert not list((tmp_path / "new").glob("*.part"))


def test_files_are_replaced_and_links_not_followed(tmp_path: Path, run: Run) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    for path in export_csv(run, tmp_path):
        path.unlink()
        path.symlink_to(precious)
    assert all(path.is_file() and not path.is_symlink() for path in export_csv(run, tmp_path))
    assert precious.read_text() == "x"


def test_a_folder_that_is_none(tmp_path: Path, run: Run) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(RecordError, match="cannot be written to"):
        export_csv(run, tmp_path / "x")


def test_what_a_curious_server_found(tmp_path: Path, run: Run) -> None:
    found = replace(run, overlaps=np.array([0.5, 0.25]))
    *_, last = export_csv(found, tmp_path)
    assert last.read_text() == "overlaps\n0.5\n0.25\n"


# --- the page -------------------------------------------------------------------------------------


def test_everything_is_there(shown: str) -> None:
    found = Reader(shown)
    assert found.open == []
    for wanted in (
        "sample, seed 7", "simulated bench ideal", "accepted", "90.00%", "85.00% to 94.00%", "Leakage", "0.187",
        "Noise budget: server", "Calibration in force", "server_noise_variance_snu", "1.01", "M. Muster", "labctl 0.0",
        "Instrument laser", "Safe state, as read back", "Provenance", "gain", "1.3", "not known: the bench file",
    ):  # fmt: skip
        assert wanted in found.text, wanted


def test_nothing_is_loaded_from_anywhere(shown: str) -> None:
    found = Reader(shown)
    assert found.links
    assert all(link.startswith("data:image/png;base64,") for link in found.links)
    assert not found.tags & {"script", "link", "iframe", "object", "a", "form"}
    assert "default-src 'none'" in shown


def pictures(text: str) -> list[tuple[int, int, bytes]]:
    found = []
    for data in re.findall(r'base64,([^"]+)"', text):
        png = base64.b64decode(data)
        assert png.startswith(b"\x89PNG")
        found.append((*struct.unpack(">II", png[16:24]), png))
    return found


def test_figures_show_something(shown: str) -> None:
    from matplotlib.image import imread

    found = pictures(shown)
    assert len(found) == 5
    for width, height, png in found:
        assert width > 600
        assert height > 300
        pixels = imread(io.BytesIO(png), format="png")[..., :3]
        assert 0.005 < float(np.mean(pixels.min(axis=2) < 0.9)) < 0.9, "neither blank nor full"


def test_texts_of_the_file_are_escaped(tmp_path: Path) -> None:
    config = {EVIL: EVIL, "note": EVIL, "gain": EVIL, "confidence": [EVIL]}
    started = sample_run.started(
        3, run=config, bench={"name": EVIL, "amplifier": EVIL}, snapshots={"laser": {EVIL.replace("/", ""): EVIL}}
    )
    ended = sample_run.finished(3, status="failed", verdict=None, cause=EVIL)
    run = recorded(tmp_path, [started, *sample_run.images(3), sample_run.light_off(dark=False), ended])
    found = Reader(page(replace(run, started=replace(run.started, name=EVIL, software=EVIL))))
    assert found.open == []
    assert "script" not in found.tags
    assert found.text.count(EVIL) >= 6
    assert "NOT CONFIRMED" in found.text


@pytest.mark.parametrize("count", [0, 1, 2])
def test_runs_that_did_not_come_far(tmp_path: Path, count: int) -> None:
    started, *images = [sample_run.started(30), *sample_run.images(count)]
    running = Reader(page(recorded(tmp_path, [started, *images])))
    assert "running" in running.text
    ended = sample_run.finished(
        count, status="aborted", verdict="aborted", accuracy=None, pooled=None, layers=(), cause="by hand"
    )
    aborted = Reader(page(recorded(tmp_path, [started, *images, sample_run.light_off(), ended])))
    assert "by hand" in aborted.text
    assert len(aborted.links) == (5 if count else 0)


def test_an_alarm_and_somebody_dishonest(tmp_path: Path) -> None:
    attack = AttackResult("resend", 0.5, 1000, 1.25, True, 1.5, 10)
    dishonest = AdversaryResult(attack, RecoveryResult(11, 0.3, 0.35, 0.6))
    *events, last = sample_run.alarmed_run()
    run = recorded(tmp_path, [*events, replace(last, adversary=AdversaryResult(attack, None))])
    assert run.finished is not None
    shown = Reader(page(replace(run, finished=replace(run.finished, adversary=dishonest)))).text
    for wanted in ("The alarm went off in image 11", "attack: resend", "alarm in image 11", "0.3 (in theory 0.35"):
        assert wanted in shown
    with_pictures = replace(run, recovered=np.random.default_rng(1).normal(size=(9, 8, 8)))
    assert len(figures(with_pictures)) == 6


@pytest.mark.parametrize(
    ("bench", "said"),
    [
        ({"calibrated_at": "2020-01-01T00:00:00+00:00", "calibration_valid_hours": 5.0}, "valid for 5 hours, STALE"),
        ({"calibrated_at": "2020-01-01T00:00:00+00:00"}, "(no limit)"),
        ({"calibrated_at": "2020-01-01T00:00:00"}, "not known"),
        ({"calibrated_at": EVIL}, "not known"),
        ({"amplifier": {"n_sp": 1.0}, "client_receiver": {"efficiency": 0.5, "electronic_noise": 0.25}}, "1.55"),
        ({"amplifier": {"n_sp": "x"}, "client_receiver": 3}, "not known"),
    ],
)
def test_calibration_and_the_noise_to_expect(
    run: Run, monkeypatch: pytest.MonkeyPatch, bench: dict[str, Any], said: str
) -> None:
    """The client's noise at G = 1.3, half of it seen: 1 + 0.5 x 2 (G - 1) + 0.25 = 1.55 SNU."""
    monkeypatch.setattr("labctl.report.html_page.figures", lambda run: [])
    shown = Reader(page(replace(run, started=replace(run.started, bench=bench)))).text
    assert said in shown

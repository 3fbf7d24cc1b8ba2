"""The documentation tells the truth: its commands and programs run, and its links lead somewhere.

A page's blocks are run in order, in a folder of its own: ``console`` blocks command by command, what they show compared
with what is printed (numbers aside), and ``python`` blocks as programs. A block whose first line is a comment with a
file's name is that file. "Add an instrument" is followed in a copy of this checkout.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TIMEOUT_S = 60

#: Commands that are not run here, with the reason; anything else in a console block is run.
EXEMPT_MAKE = {"make demo", "make test"}  # set up an environment; each must be a target of the Makefile
EXEMPT_HARDWARE = "table3.bench.toml"  # the real bench of the hardware page


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands (line of its fence), its language and its lines."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    language, start, lines = None, 0, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = re.fullmatch(r"```(\w*)", line)
        if fence is None:
            lines.append(line)
        elif language is None:
            language, start, lines = fence[1], number, []
        else:
            yield Block(page, start, language, "\n".join(lines) + "\n")
            language = None
    assert language is None, f"{page}: the block of line {start} does not end"


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
#: Followed in a copy of this checkout: its files belong into it.
IN_A_CHECKOUT = ROOT / "docs" / "how-to" / "add-an-instrument.md"
RUNNABLE = [page for page in PAGES if any(b.page == page and b.language in ("console", "python") for b in BLOCKS)]
RUNNABLE.remove(IN_A_CHECKOUT)


@dataclass(frozen=True)
class Command:
    """One line after ``$``, the output shown below it, and the exit status that a comment ``# exits N`` states."""

    text: str
    shown: list[str]
    status: int


def commands_of(block: Block) -> list[Command]:
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            text, _, comment = line[2:].partition("  # ")
            stated = re.match(r"exits (\d+)", comment)
            found.append(Command(text, [], int(stated[1]) if stated else 0))
        elif line.strip() not in ("", "..."):
            found[-1].shown.append(line)
    return found


ALL_COMMANDS = [command for block in BLOCKS if block.language == "console" for command in commands_of(block)]


def exempt(command: str) -> bool:
    return command in EXEMPT_MAKE or EXEMPT_HARDWARE in command


def environment() -> dict[str, str]:
    """The running environment's programs first, and ``labctl`` from this checkout."""
    scripts = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "OPENBLAS_NUM_THREADS": "1"}


def run(command: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**environment(), **more},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


# --- what is run ----------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder as a reader has it: the examples beside them."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_page_runs(page: Path, desk: Path) -> None:
    """Its blocks in order, in one folder: files are written, commands and programs run."""
    for block in blocks_of(page):
        named = re.match(r"# (\S+\.toml)\n", block.text)
        if named:
            (desk / named[1]).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for command in commands_of(block):
                check_command(command, desk)
        elif block.language == "python":
            check_program(block, desk)


def check_command(command: Command, desk: Path, **more: str) -> None:
    if exempt(command.text):
        return
    done = run(["bash", "-c", f"{command.text} 2>&1"], desk, **more)
    assert done.returncode == command.status, f"{command.text}\n{done.stdout}"
    printed = shapes(done.stdout.splitlines())
    missing = [line for line in command.shown if not shapes([line]) <= printed]
    assert not missing, f"{command.text} does not print\n" + "\n".join(missing) + f"\nbut\n{done.stdout}"


def check_program(block: Block, desk: Path) -> None:
    for name in re.findall(r'"(runs/\S+\.h5)"', block.text):
        record_run(desk, name)
    (desk / "program.py").write_text(block.text, encoding="utf-8")
    done = run([sys.executable, "-W", "error", "program.py"], desk)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


def record_run(desk: Path, name: str) -> None:
    """A short run, under the name that a page uses."""
    done = run(["labctl", "demo", "--images", "2", "--json"], desk)
    Path(json.loads(done.stdout)["run_file"]).rename(desk / name)


def shapes(lines: list[str]) -> set[str]:
    """Lines without what changes from machine to machine: numbers, folders, and spaces."""
    without_files = (re.sub(r"\S*/runs/\S+", "FILE", line) for line in lines)
    without_numbers = (re.sub(r"\d[\d.,]*(?:e[-+]?\d+)?", "#", line) for line in without_files)
    return {" ".join(line.split()) for line in without_numbers}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what git keeps here, near enough."""
    leave = shutil.ignore_patterns(".*", "__pycache__", "results", "runs", "dist", "build")
    return shutil.copytree(ROOT, tmp_path / "labctl", ignore=leave)


@pytest.mark.slow
def test_add_an_instrument_is_followed_line_by_line(checkout: Path) -> None:
    """Files are written, lines put in, commands run; what is installed lands in a folder of its own, offline."""
    site = checkout.parent / "site"
    environment = {"PYTHONPATH": f"{checkout}{os.pathsep}{site}", "PIP_TARGET": str(site), "PIP_NO_DEPS": "1"}
    written = 0
    for block in blocks_of(IN_A_CHECKOUT):
        first, _, rest = block.text.partition("\n")
        if block.language == "console":
            for command in commands_of(block):
                check_command(command, checkout, **environment)
        elif into := re.fullmatch(r"# into (\w+) of (\S+)", first):
            put_at_the_head(rest, into[1], checkout / into[2])
        else:
            path = checkout / first.removeprefix("# ")
            assert not path.exists(), f"{block}: {path.name} is there already"
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            written += 1
    assert written == 5


def put_at_the_head(lines: str, name: str, path: Path) -> None:
    """As the first entries of a dict."""
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"^{name}\b.*\{{\n", text, re.MULTILINE)
    assert found, f"{path} has no {name}"
    path.write_text(text[: found.end()] + lines + text[found.end() :], encoding="utf-8")


# --- what is quoted -------------------------------------------------------------------------------


def test_every_make_command_is_a_target() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = {
        word
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
        for word in re.findall(r"(?:^|`|\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {command.split()[1] for command in EXEMPT_MAKE} <= named <= set(targets)


def test_exemptions_are_used() -> None:
    texts = [command.text for command in ALL_COMMANDS]
    for exemption in EXEMPT_MAKE:
        assert exemption in texts
    assert any(EXEMPT_HARDWARE in text for text in texts)


def test_shown_example_is_the_shipped_one() -> None:
    shipped = (ROOT / "examples" / "headless.py").read_text(encoding="utf-8")
    assert [str(block) for block in BLOCKS if block.text == shipped]


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page}: {target}"
        assert not anchor or anchor in headings(found), f"{page}: {target}"


def test_every_page_is_reached_from_the_index() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / link).resolve() for link in links]
    assert set(PAGES) <= seen


def test_sections_cited_by_the_code_exist() -> None:
    there = set(re.findall(r"^## (\w+)\. ", (ROOT / "docs/physics.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert there == {"1", "2", "3", "3a", "4", "4a", "5", "6", "7"}
    for package in ("labctl", "drivers", "sim_backends", "scripts"):
        for path in (ROOT / package).rglob("*.py"):
            text = " ".join(path.read_text(encoding="utf-8").split())
            for cited in re.findall(r"docs/physics\.md,? sections? ((?:\w+(?:, | and )?)+)", text):
                assert set(re.findall(r"\d\w?", cited)) <= there, f"{path}: {cited}"
            for cited in re.findall(r"docs/[\w/-]+\.md", text):
                assert (ROOT / cited).is_file(), f"{path}: {cited}"

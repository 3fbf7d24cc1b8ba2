"""One suite per kind of instrument, over every driver.

``test_<kind>.py`` meets every instrument of that kind, ``test_instrument.py`` every one there is: the first of each
kind on the shipped ideal bench, and those of the fragments in ``suppliers/``. Each test has a simulated lab of its own.
With ``--hardware BENCH.toml`` only the tests that ask for ``bench`` run, over all instruments of that bench.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.shipped import bench_path
from tests.contract.bench import KINDS, ContractBench, Subject, bench_subjects, simulated_subjects

_HERE = Path(__file__).parent
_subjects: dict[str | None, list[Subject]] = {}


def _all_subjects(hardware: str | None) -> list[Subject]:
    if hardware not in _subjects:
        found = simulated_subjects(bench_path("ideal")) if hardware is None else bench_subjects(Path(hardware))
        _subjects[hardware] = found
    return _subjects[hardware]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "subject" not in metafunc.fixturenames:
        return
    subjects = _all_subjects(metafunc.config.getoption("--hardware"))
    kind = Path(metafunc.module.__file__ or "").stem.removeprefix("test_")
    chosen = [each for each in subjects if kind not in KINDS or each.kind == kind]
    if "error_queue" in metafunc.fixturenames:
        chosen = [each for each in chosen if each.error_queue]
    metafunc.parametrize("subject", chosen, ids=[each.name for each in chosen])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On real instruments run only what asks for them."""
    if config.getoption("--hardware") is None:
        return
    wanted = [item for item in items if _HERE in item.path.parents and "bench" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted


@pytest.fixture
def bench(subject: Subject, tmp_path: Path) -> Iterator[ContractBench]:
    """The bench of the instrument under test, simulated or real."""
    made = subject.bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def simulated(subject: Subject, tmp_path: Path) -> Iterator[ContractBench]:
    """The same, for what cannot be done to a real one."""
    made = subject.bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def error_queue(subject: Subject) -> None:
    """Only instruments that keep their errors in a queue."""
    assert subject.error_queue

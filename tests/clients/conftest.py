"""Programs that others wrote, unchanged, on the simulated lab.

``desk`` is a lab of its own for each test, once by ``@labctl`` (``lab_desk``) and once over TCP (``tcp_desk``); a
program that cannot be told a VISA library finds it in ``PYVISA_LIBRARY``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.budget.sources import Tables
from tests.clients.desk import Desk, in_process, over_tcp


@pytest.fixture
def changes() -> Tables:
    """What a module's lab has otherwise than the ideal bench: tables of a bench file."""
    return {}


@pytest.fixture
def lab_desk(changes: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A lab by ``@labctl``."""
    with in_process(changes, tmp_path) as made:
        monkeypatch.setenv("PYVISA_LIBRARY", made.library)
        yield made


@pytest.fixture
def tcp_desk(changes: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A lab on TCP ports."""
    with over_tcp(changes, tmp_path) as made:
        monkeypatch.setenv("PYVISA_LIBRARY", made.library)
        yield made


@pytest.fixture(params=["lab_desk", "tcp_desk"], ids=["@labctl", "TCP"])
def desk(request: pytest.FixtureRequest) -> Desk:
    """Either of them."""
    made = request.getfixturevalue(request.param)
    assert isinstance(made, Desk)
    return made

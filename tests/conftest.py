"""Settings and fixtures of every test: no screen, one linear-algebra thread, no thread left."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

# Read when numpy and Qt are loaded, so set before any test module is.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("MPLBACKEND", "Agg")
# A bench made dark in a test ends no program but those that this very process started.
os.environ["LABCTL_LOCKS"] = tempfile.mkdtemp(prefix="labctl-test-locks-")  # each worker its own

_MNIST_VARIABLE = "LABCTL_MNIST"
_THREAD_GRACE_S = 2.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--hardware",
        metavar="BENCH.toml",
        help="run the contract tests on the instruments of this bench and nothing else; each is left in its safe state",
    )


@pytest.fixture(autouse=True)
def no_thread_left_over() -> Iterator[None]:
    """A test ends the threads it starts; those of wider fixtures were there before it."""
    before = set(threading.enumerate())
    yield
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(_THREAD_GRACE_S)
    alive = [thread.name for thread in started if thread.is_alive()]
    assert not alive, f"threads left running: {', '.join(alive)}"


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """Folder of the four MNIST files in IDX form, named by ``LABCTL_MNIST``."""
    named = os.environ.get(_MNIST_VARIABLE)
    if not named:
        pytest.skip(f"{_MNIST_VARIABLE} is not set: name the folder of the MNIST files to run this")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"{_MNIST_VARIABLE} names {folder}, which is not a folder")
    return folder

"""The run file: HDF5, written while the run goes on, readable after a crash (docs/reference/run-file.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.record.recorder import RunRecorder

if TYPE_CHECKING:
    from labctl.record.apart import open_run
    from labctl.record.reader import Run

__all__ = ["Run", "RunRecorder", "open_run"]


def __getattr__(name: str) -> Any:
    """The reader, with HDF5, when it is needed: a program that measures leaves both to the writer's process."""
    if name == "Run":
        from labctl.record.reader import Run

        return Run
    if name == "open_run":
        from labctl.record.apart import open_run

        return open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Makes a file anew from the rows of another that are whole; ``labctl recover``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py

from labctl.errors import RecordError
from labctl.events import Interval, RunFinished
from labctl.record import apart, disk, layout
from labctl.record.reader import DAMAGED_HEAD, DAMAGED_RESULT, Run, read_run
from labctl.record.run_file import RunFile

#: The cause of the end of a run whose program did not say that it ends.
WITHOUT_A_WORD = "the program that measured ended without a word"
#: What the original is called where not all of it could be kept.
DAMAGED = ".damaged"


@dataclass(frozen=True)
class Recovered:
    """What came of it. ``images``: that are kept; ``lost``: what is damaged, in words; ``original``: where it is now.

    ``changed`` is False where there was nothing to do.
    """

    path: Path
    images: int
    changed: bool
    lost: tuple[str, ...]
    original: Path | None


def kept_rows(run: Run) -> list[int]:
    """Rows that are whole and belong together: of the images, of each layer, and of what else has a table."""
    images = min(run.whole)
    kept, ahead = [images], True
    for whole in run.whole[1 : 1 + len(run.layers)]:
        ahead = ahead and whole > images  # layers of an image that was not finished, from the first on
        kept.append(images + ahead)
    others = len(kept) + (run.overlaps is not None)
    kept += [min(kept[1], each) for each in run.whole[len(kept) : others]]
    return kept if run.rechecks is None else [*kept, rechecks_until(run, images)]


def rechecks_until(run: Run, images: int) -> int:
    """Rows of ``/rechecks`` that are whole, of re-checks that followed at most so many images."""
    if run.rechecks is None:
        return 0
    return int((run.rechecks["image"][: run.whole[-1]] <= images).sum())


def rebuilt(source: Path, target: Path, run: Run | None = None) -> None:
    """Write ``target`` from what is whole in ``source``, without an end.

    Raises RecordError where nothing can be kept, and what h5py raises.
    """
    run = run or read_run(source)
    if DAMAGED_HEAD in run.damage:
        raise RecordError(f"{source}: {DAMAGED_HEAD}", "What was measured cannot be told from such a file.")
    file = RunFile(target, run.started, run.provenance)
    try:
        file.fill(run, kept_rows(run))
        file.commit()
        file.sync()
    finally:
        file.close()


def ended_without_a_word(run: Run, images: int) -> RunFinished:
    """What can be said of the end of a run from its rows."""
    accuracy = None
    if images:
        columns = run.images
        accuracy = Interval(
            *(float(columns[name][images - 1]) for name in ("accuracy", "accuracy_low", "accuracy_high"))
        )
    return RunFinished(
        status="failed",
        verdict=None,
        cause=f"recovered from a damaged file: {run.damage[0]}" if run.damage else WITHOUT_A_WORD,
        images=images,
        accuracy=accuracy,
        pooled=None,
        layers=(),
    )


def recover(path: Path, wall_time: Callable[[], float] = time.time) -> Recovered:
    """Bring the file of a run that was killed back to an ordinary one, and keep of a damaged one what is whole.

    ``wall_time``: seconds since 1970. A file that is as it should be is left alone. Raises RecordError.
    """
    disk.refuse_if_written(path)
    run = apart.read_run(path)
    images = kept_rows(run)[0]
    part = disk.part_of(path)
    if run.finished is not None and not run.damage:
        part.unlink(missing_ok=True)
        return Recovered(path, images, False, (), None)
    original = path.with_name(path.name + DAMAGED) if run.damage else None
    if original is not None and original.exists():
        raise RecordError(f"{original}: is there already", "Put it elsewhere, then recover again.")
    try:
        part.unlink(missing_ok=True)
        rebuilt(path, part, run)
        with h5py.File(part, "r+", libver="latest") as file:
            layout.write_provenance(file, {"recovered": layout.iso(wall_time())})
            known = DAMAGED_RESULT not in run.damage
            layout.write_end(
                file, ended_without_a_word(run, images), run.alarm if known else None, run.light_off if known else None
            )
            layout.seal_end(file)
            file.flush()
            os.fsync(file.id.get_vfd_handle())
        if original is not None:
            os.link(path, original)
        disk.put_in_place(part, path)
    except (OSError, RuntimeError) as error:
        raise RecordError(
            f"{path}: cannot be recovered ({error})", "Check the disk and the folder's permissions."
        ) from error
    return Recovered(path, images, True, run.damage, original)

"""Which images an error casts doubt on."""

from __future__ import annotations

import pytest

from labctl.doubt import REMEMBERED, Standing, Standings
from labctl.errors import EVERY_SHOT, Drifted, GateError, InterlockError, LabctlError
from labctl.parties.verifier import VerifierState

SEEN = VerifierState((), None)


def standings(*images: int) -> Standings:
    found = Standings(shots_per_image=2)
    for each in images:
        found.passed(Standing(each, each, SEEN))
    return found


def sure(found: Standings, error: LabctlError, images: int, shots: int = 0) -> int | None:
    standing = found.last_sure(error, images, shots)
    return None if standing is None else standing.images


def test_before_the_light_was_on_there_is_nothing_to_doubt() -> None:
    assert sure(standings(), InterlockError("x"), 0) is None


def test_the_last_check_that_passed() -> None:
    assert sure(standings(0, 10, 20), InterlockError("x"), 23) == 20
    assert sure(standings(0, 10, 20), GateError("x"), 23, 1) == 20


@pytest.mark.parametrize(
    ("spoilt", "shots", "expected"),
    [(1, 0, 20), (6, 0, 20), (7, 0, 20), (8, 0, 10), (8, 1, 20), (27, 0, 10), (28, 0, 0), (100, 1, 0)],
)
def test_a_gate_that_needs_several_shots_to_judge(spoilt: int, shots: int, expected: int) -> None:
    """23 images of two shots are done, and so many shots of the next one."""
    assert sure(standings(0, 10, 20), GateError("x", shots=spoilt), 23, shots) == expected


def test_a_gate_that_judges_everything_together_leaves_nothing() -> None:
    assert sure(standings(0, 10, 20), GateError("x", shots=EVERY_SHOT), 23, 1) == 0


def test_the_first_one_is_never_forgotten() -> None:
    found = standings(0, *range(10, 10 + 2 * REMEMBERED))
    assert sure(found, GateError("x", shots=10**6), 600) == 0


def test_what_drifted_spoilt_everything_since_its_kind_was_last_looked_at() -> None:
    found = standings(0, 10, 20)
    for kind, images in (("bias", 0), ("phase", 0), ("phase", 12)):
        found.rechecked(kind, Standing(images, images, SEEN))
    assert sure(found, Drifted("x", kind="phase"), 23) == 12
    assert sure(found, Drifted("x", kind="bias"), 23) == 0
    assert sure(found, Drifted("x"), 23) == 20  # a reading, which is looked at with the interlocks

"""What goes to the screen: objects for programs on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from labctl.errors import LabctlError


def print_json(values: Mapping[str, Any]) -> None:
    """The one object on standard output."""
    print(json.dumps(values, allow_nan=False), flush=True)


def say(text: str) -> None:
    """One line on standard error."""
    print(f"labctl: {text}", file=sys.stderr, flush=True)


def say_error(error: BaseException, *, debug: bool = False) -> None:
    """What went wrong and what to do about it, on standard error; the traceback only where it was asked for."""
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, LabctlError):
        say(f"error: {error}")
        if error.remedy:
            say(f"remedy: {error.remedy}")
    else:
        say(f"error: {type(error).__name__}: {error}")
        if not debug:
            say("remedy: this should not have happened; add --debug to see where it did.")

"""Serve requests on standard input until it ends."""

from __future__ import annotations

import os
import sys

from labctl.engine_process.host import Host


def main() -> None:
    """Answers go to what was standard output; whatever else prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    Host(sys.stdin.fileno(), answers).serve()


if __name__ == "__main__":
    main()

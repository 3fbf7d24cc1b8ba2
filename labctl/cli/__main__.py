"""``python -m labctl.cli``: the same as ``labctl``."""

from __future__ import annotations

from labctl.cli.app import main

if __name__ == "__main__":
    main()

from __future__ import annotations

import subprocess
import sys

MODULES = [
    "attacks",
    "boundary",
    "crossing",
    "encoding",
    "estimation",
    "gates",
    "inference",
    "intervals",
    "leakage",
    "parameters",
    "power",
    "rowmodel",
    "verification",
    "walk",
]


def test_importing_the_protocol_loads_no_scipy() -> None:
    imports = "; ".join(f"import labctl.protocol.{name}" for name in MODULES)
    check = f"import sys; {imports}; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0

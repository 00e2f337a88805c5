"""Every benchmark, one after the other: `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

for script in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    print(f"\n{script.name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{script.stem}"], check=True)

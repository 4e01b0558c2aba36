"""Studies are scripts in `benchmarks/`, not modules of the package."""

import sys
from pathlib import Path

# At the end: `coverage.py` there must not hide the package of that name.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

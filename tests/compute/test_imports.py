"""What is optional is not imported where nobody asks for it."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import hyco.comparison, hyco.config, hyco.pipelines.compare.nodes
from hyco.compute import ComputeConfig, Piece, open_engine, outcomes
with open_engine(ComputeConfig()) as engine:
    list(outcomes(engine, [Piece("hyco.runtime.random_streams:stream_seed", {"seed": 1}, "a seed")]))
print([name for name in ("dask", "distributed", "tornado", "msgpack") if name in sys.modules])
"""


@pytest.mark.slow
def test_without_a_scheduler_nothing_of_dask_is_imported():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

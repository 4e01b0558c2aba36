"""What is optional is not imported where nobody asks for it."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import hyco.comparison, hyco.config, hyco.pipelines.compare.nodes, hyco.training.synthetic
import torch.distributed
from hyco.compute import ComputeConfig, Piece, open_engine, outcomes
with open_engine(ComputeConfig()) as engine:
    list(outcomes(engine, [Piece("hyco.runtime.random_streams:stream_seed", {"seed": 1}, "a seed")]))
print([name for name in ("dask", "distributed", "tornado", "msgpack", "hyco.training.helping") if name in sys.modules])
print(torch.distributed.is_initialized())
"""


@pytest.mark.slow
def test_nothing_of_dask_is_imported_and_no_other_process_joined():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "False"]

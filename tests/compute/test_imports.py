"""What is optional is not imported where nobody asks for it."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import hyco.comparison, hyco.config, hyco.pipelines.compare.nodes, hyco.pipelines.physical.nodes
import hyco.hooks.computing, hyco.training.physical, hyco.training.synthetic
import torch.distributed
from hyco.compute import ComputeConfig, Piece, open_engine, outcomes
with open_engine(ComputeConfig()) as engine:
    list(outcomes(engine, [Piece("hyco.runtime.random_streams:stream_seed", {"seed": 1}, "a seed")]))
own = ("compute.dask_cluster", "compute.scripts", "stepping.chunks", "training.helping", "training.physical_parts")
names = ("dask", "distributed", "tornado", "msgpack", *(f"hyco.{name}" for name in own))
print([name for name in names if name in sys.modules])
print(torch.distributed.is_initialized())
"""


@pytest.mark.slow
def test_nothing_of_dask_is_imported_and_no_other_process_joined():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "False"]

"""The data of APEBench for `apebench_networks.py`: training and test trajectories of a scenario, in an .npz file.

    python benchmarks/apebench_peer.py diff_burgers 2 build/apebench/burgers_2d.npz

Runs in an environment of its own (`make bench-apebench`), which has apebench and knows nothing of hyco. Scenario, grid,
initial states, numbers and lengths of trajectories and random keys are APEBench's defaults. The file has `train`
`[50, 51, C, *space]` and `test` `[30, 101, C, *space]`, float32: of the 200 steps of a test trajectory the score takes
100. Trajectories are made a few at a time, so that memory does not hold all of them.
"""

from __future__ import annotations

import sys
import zipfile
from typing import IO, Any

import apebench
import exponax as ex
import jax
import numpy as np

# Trajectories that are made at once, and steps of the test trajectories.
TOGETHER, SCORED = 5, 100


def trajectories(scenario: Any, initial: Any, steps: int) -> Any:
    """States `[n, steps + 1, C, *space]` of the reference solver, a few trajectories at a time."""
    roll_out = jax.jit(jax.vmap(ex.rollout(scenario.get_ref_stepper(), steps, include_init=True)))
    for first in range(0, len(initial), TOGETHER):
        yield np.asarray(roll_out(initial[first : first + TOGETHER]), np.float32)


def write(file: IO[bytes], scenario: Any, initial: Any, steps: int) -> None:
    """One array of the .npz file."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(initial), steps + 1, *initial.shape[1:])}
    np.lib.format.write_array_header_1_0(file, header)
    for part in trajectories(scenario, initial, steps):
        if not np.isfinite(part).all():
            raise SystemExit("a trajectory is not finite")
        file.write(part.tobytes())


def main() -> None:
    """Write the file that the command line names."""
    name, dimensions, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    scenario = apebench.scenarios.scenario_dict[name](num_spatial_dims=dimensions)
    with zipfile.ZipFile(path, "w") as archive:
        for array, initial, steps in (
            ("train", scenario.get_train_ic_set(), scenario.train_temporal_horizon),
            ("test", scenario.get_test_ic_set(), SCORED),
        ):
            with archive.open(f"{array}.npy", "w", force_zip64=True) as file:
                write(file, scenario, initial, steps)


if __name__ == "__main__":
    main()

"""What every test runs with: no telemetry, no display, one thread."""

import os

# Before anything is imported, as these are read on import.
os.environ.update(
    {
        "DO_NOT_TRACK": "true",
        "KEDRO_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",  # also for the processes that tests start
    }
)

import torch

torch.set_num_threads(1)

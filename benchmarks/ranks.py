"""Data-parallel training: seconds of an epoch of burgers_2d's network with one process and with two.

    python benchmarks/ranks.py --resolution 128 --windows 32

The processes are those that torchrun starts, one thread each (`hyco.training.ranks`); the data are random numbers. An
epoch is `windows` / 16 updates of rollouts of 10 steps. "Clock" is the time of an epoch by the clock, "processor" the
largest processor time of a process in it: on cores that are free both are the same, else the second is what they would
be. The first epoch is left out.
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import torch
import torch.multiprocessing as multiprocessing

from hyco.equations.registry import build_equation
from hyco.observations import Observations
from hyco.training import helping
from hyco.training.config import SyntheticConfig
from hyco.training.data import Samples
from hyco.training.helping import help_rank_0
from hyco.training.ranks import joined
from hyco.training.trainer import SyntheticTrainer

NETWORK = {"network": {"name": "unet", "filters": 8, "levels": 2}, "batch_size": 16, "num_predict_steps": 10}


class Timed(SyntheticTrainer):
    """Notes clock and processor seconds of each epoch, in every process."""

    times: ClassVar[list[tuple[float, float]]] = []

    def epoch(self, epoch: int, samples: Samples, alpha: float = 1.0) -> dict[str, float]:
        """See `SyntheticTrainer.epoch`."""
        clock, processor = time.perf_counter(), time.process_time()
        metrics = super().epoch(epoch, samples, alpha)
        self.times.append((time.perf_counter() - clock, time.process_time() - processor))
        return metrics


def train(resolution: int, windows: int, epochs: int) -> None:
    """Epochs on random numbers."""
    axis = {"size": 10.0, "resolution": resolution}
    section = {"name": "burgers", "domain": {"x": axis, "y": axis}, "dt": 0.03, "max_speed": 2.5}
    equation = build_equation({**section, "parameters": {"viscosity": 0.02}})
    values = torch.randn((windows, 11, 2, resolution, resolution), dtype=torch.float64)
    observations = Observations(
        values=values,
        mask=torch.ones_like(values, dtype=torch.bool),
        initial_states=values[:, 0].clone(),
        noise_std=torch.zeros(2),
        train=list(range(windows)),
        val=[],
        layout=equation.layout,
        dt=equation.dt,
    )
    config, cpu = SyntheticConfig.model_validate(NETWORK), torch.device("cpu")
    trainer = Timed(observations, config, 0, num_predict_steps=10, epochs=epochs, device=cpu)
    samples = trainer.prepare(trainer.window_starts(trainer.rollout, real_alone=True))
    for epoch in range(1, epochs + 1):
        trainer.epoch(epoch, samples)


def process(rank: int, size: int, port: int, folder: str, resolution: int, windows: int, epochs: int) -> None:
    """What each process does; each leaves a file with its times."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "benchmark"}
    torch.set_num_threads(1)
    with joined() as ranks:
        if ranks.leads:
            train(resolution, windows, epochs)
        else:
            helping.SyntheticTrainer = Timed  # type: ignore[misc]
            help_rank_0(ranks)
    Path(folder, str(rank)).write_text("\n".join(f"{clock} {processor}" for clock, processor in Timed.times[1:]))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--windows", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    print("| processes | clock [s] | processor [s] | load |\n| --- | --- | --- | --- |")
    for size in arguments.processes:
        with TemporaryDirectory() as folder, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            free.close()
            given = (size, port, folder, arguments.resolution, arguments.windows, arguments.epochs)
            multiprocessing.spawn(process, given, nprocs=size)
            times = [
                [tuple(map(float, line.split())) for line in Path(folder, str(rank)).read_text().splitlines()]
                for rank in range(size)
            ]
        clock = min(t[0] for t in times[0])
        processor = max(min(t[1] for t in own) for own in times)
        print(f"| {size} | {clock:.1f} | {processor:.1f} | {os.getloadavg()[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()

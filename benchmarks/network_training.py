"""An epoch of a network's training: hyco beside equinox and optax.

    python benchmarks/network_training.py                       # hyco alone
    make bench-peers                                            # beside equinox and optax

A residual network (24 filters, two blocks, kernels of five cells, SiLU, periodic) learns the changes of Burgers states
in windows of five steps: normalised, mean square, gradient clipped at 1, Adam, float32. Both have the same
architecture, the same first weights, windows and batches; losses of the first updates have to agree. hyco's epoch is
that of its trainer, all that it does around the updates included. In JAX it is compiled, with all updates of an epoch
in one function or each in a call, whichever takes less time.

Times are processor times of an epoch on one thread, without the compilation, measured in turn: medians and quartiles.
A ratio above 1 says that hyco takes more.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyco.equations.registry import build_equation
from hyco.observations import ObservationConfig, observe
from hyco.runtime.memory import keep_freed_memory
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.config import SyntheticConfig
from hyco.training.data import Samples
from hyco.training.trainer import SyntheticTrainer
from peers import Peer
from study import described, write_page

PAGE = Path(__file__).parents[1] / "docs" / "studies" / "network_training.md"
RATE, CLIP, LENGTH = 3e-3, 1.0, 5
# Of losses of the first updates, relative: those of later ones are apart by what rounding has become.
ALIKE, FIRST = 1e-3, 3
Row = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """States to learn from, and the size of a batch.

    Attributes:
        windows: how many there are, each in a simulation of its own.
    """

    dimensions: int
    cells: int
    windows: int
    batch: int


PROBLEMS = {
    "128 cells, batches of 4": Problem(1, 128, 32, 4),
    "128 cells, batches of 16": Problem(1, 128, 64, 16),
    "64² cells, batches of 4": Problem(2, 64, 8, 4),
}


def trainer_of(problem: Problem) -> SyntheticTrainer:
    """hyco's trainer on that problem."""
    axis = {"size": 10.0, "resolution": problem.cells}
    equation = build_equation(
        {
            "name": "burgers",
            "scheme": "spectral",
            "domain": dict.fromkeys("xy"[: problem.dimensions], axis),
            "dt": 0.05,
            "max_speed": 6.0,
            "parameters": {"viscosity": 0.3},
        }
    )
    data = generate(equation, GenerationConfig(simulations=problem.windows, steps=LENGTH, length_scale=1.0), 0)
    observations = observe(data, ObservationConfig(train_sim=list(range(problem.windows))), 0)
    config = SyntheticConfig.model_validate(
        {
            "network": {"name": "resnet", "filters": 24, "blocks": 2, "kernel_size": 5},
            "num_predict_steps": LENGTH,
            "batch_size": problem.batch,
            "learning_rate": RATE,
            "gradient_clip": CLIP,
            "scheduler": "constant",
        }
    )
    return SyntheticTrainer(observations, config, 0, num_predict_steps=LENGTH, epochs=10**6, device=torch.device("cpu"))


def fixed_batches(trainer: SyntheticTrainer, samples: Samples) -> Tensor:
    """The same batches `[U, w]` in each epoch from now on."""
    batches = torch.arange(len(samples.starts)).reshape(-1, trainer.config.batch_size)
    trainer.batches.updates = lambda fresh, length: ((which, None) for which in batches)  # type: ignore[method-assign]
    return batches


def write_problem(trainer: SyntheticTrainer, samples: Samples, batches: Tensor, path: Path) -> None:
    """What the peer trains on, and its first weights."""
    model, every = trainer.model, torch.arange(len(samples.starts))
    weights = {name: value.numpy() for name, value in model.state_dict().items() if name.startswith("network.")}
    np.savez(
        path,
        starts=samples.starts[:].numpy(),
        targets=trainer.windows.targets(trainer.data.values, every).numpy(),
        scale=(model.change_std / model.std).float().numpy(),
        batches=batches.numpy(),
        **weights,
    )


def first_losses(trainer: SyntheticTrainer, samples: Samples) -> list[float]:
    """The losses of the updates of an epoch."""
    found, loss = [], trainer.loss

    def noted(*arguments: Any) -> Tensor | None:
        value = loss(*arguments)
        found.append(float(value.detach()) if value is not None else float("nan"))
        return value

    trainer.loss = noted  # type: ignore[method-assign]
    trainer.epoch(1, samples)
    trainer.loss = loss  # type: ignore[method-assign]
    return found


def rows(problems: dict[str, Problem], python: str | None, repetitions: int) -> Iterator[Row]:
    """Times of an epoch of each problem, in turn.

    Raises:
        RuntimeError: the losses of both are not the same.
    """
    peer = None if python is None else Peer(python, "network_training_peer.py")
    for name, problem in problems.items():
        trainer = trainer_of(problem)
        samples = trainer.prepare(trainer.window_starts(trainer.rollout, real_alone=True))
        batches, theirs = fixed_batches(trainer, samples), None
        if peer is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "problem.npz"
                write_problem(trainer, samples, batches, path)
                theirs = peer.ask(make=name, problem=str(path), rate=RATE, clip=CLIP)
        ours = first_losses(trainer, samples)
        if theirs is not None and not np.allclose(ours[:FIRST], theirs[:FIRST], rtol=ALIKE):
            raise RuntimeError(f"{name}: losses of the first updates differ: {ours[:FIRST]} and {theirs[:FIRST]}")
        times: dict[str, list[float]] = {"hyco": [], **({} if peer is None else {"equinox": []})}
        for _ in range(repetitions):
            begin = time.process_time()
            trainer.epoch(1, samples)
            times["hyco"].append(time.process_time() - begin)
            if peer is not None:
                times["equinox"].append(peer.ask(run=name))
        pairs = list(zip(*times.values(), strict=True)) if peer is not None else []
        row = {"problem": name, "updates": len(batches)}
        row |= {solver: statistics.quantiles([1e3 * t for t in found], n=4) for solver, found in times.items()}
        yield row | ({"ratio": statistics.quantiles([a / b for a, b in pairs], n=4)} if pairs else {})
    if peer is not None:
        peer.close()


def table(found: list[Row]) -> str:
    """All that was measured."""
    lines = [
        "| problem | updates in an epoch | hyco [ms] | equinox, jitted [ms] | ratio |",
        "|---|---|---|---|---|",
    ]
    for row in found:
        cells = [
            f"{row[key][1]:.{digits}f} ({row[key][0]:.{digits}f} to {row[key][2]:.{digits}f})" if key in row else "—"
            for key, digits in (("hyco", 1), ("equinox", 1), ("ratio", 2))
        ]
        lines.append(f"| {row['problem']} | {row['updates']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="interpreter of the environment that has equinox and optax")
    parser.add_argument("--repetitions", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    found = []
    for row in rows(PROBLEMS, arguments.peers, arguments.repetitions):
        found.append(row)
        print(table([row]), flush=True)
    if arguments.peers:
        title = "Training of a network beside equinox"
        write_page(PAGE, title, described(__doc__), ["make bench-peers"], table(found))


if __name__ == "__main__":
    main()

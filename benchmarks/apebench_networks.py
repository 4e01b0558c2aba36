"""hyco's networks on the data of APEBench, within its budget of updates.

    make bench-apebench                                        # data, trainings and this page
    python benchmarks/apebench_networks.py --problem burgers_1d --seeds 0 --peers PYTHON    # one of them

APEBench 0.1.1 (F. Koehler et al., NeurIPS 2024, https://arxiv.org/abs/2411.00180) makes the data, with its defaults:
160 cells along each axis, periodic; 50 trajectories of 50 steps to train on, 30 others to test on. The scenarios are
`diff_burgers` in one and two dimensions and `phy_gs_type` in two, the Gray-Scott equation of its list of the paper's
scenarios. Its budget is 10 000 updates by Adam on batches of 20 pairs of a state and the next one.

The score is APEBench's: the nRMSE of each step, summed over channels, averaged over the test trajectories, and of that
the geometric mean over the first 100 steps. The nRMSE of a channel is the norm of its error over that of the truth.
*Published* are the scores of APEBench's own networks in that paper, read off a chart. Test trajectories are read for
the score alone.

hyco learns one step, with a cosine of the learning rate over all updates. In one dimension a batch is APEBench's. In
two it is a few small squares, cut from random places and times of random training trajectories: a network of a few
convolutions sees no further than some cells, so that the middle of a square teaches it the same as a whole state does,
at a hundredth of the work. Of some random places that is taken where most changes, see `choices` in the script.
Measured is the middle of a square (`observation.space`), the margin is as wide as the network sees. The weights then
step whole periodic states. No square is cut from the last five training trajectories: settings are chosen by them, and
*held out* is the score of these, over their 50 steps. *CPU seconds* are those of one core of a machine with much other
load. A training that is ended goes on from its last epoch when the command is given again.

In two dimensions networks were compared on squares of `diff_burgers`, 600 updates of four squares each at 2e-3, by the
mean square of the error over that of the change, on squares of the five trajectories, one seed each:

| network | CPU seconds | gradients as they are | of a norm of 1 at most |
|---|---|---|---|
| `resnet`, 16 filters, 2 blocks, kernels of 3 | 19, 22 | .112 | .072 |
| the same, products of two convolutions in place of activations | 17, 18 | .087 | .023 |
| `resnet`, 16 filters, 1 block, kernels of 5 | 22 | — | .028 |
| the same, products of two convolutions in place of activations | 20 | — | .0123 |
| `gated`, 24 filters, 2 blocks, kernels of 5 | 33 | — | .0063 |

A step of Burgers' equation is nearly a polynomial of the state, which products say with few weights. Steep fronts are
rare and have by far the largest errors, so that gradients are cut: the norm of 1 is that of errors in units of the
change, and `gradient_clip` in the script is that times the square of the change over that of the states. For the fourth
network a rate of 5e-3 with a warm-up (.0130) and a second decay of .98 (.0114) made little of a difference.
Before, `resnet` with 16 filters in one block at 3e-3, uncut, had a score of .077 after 3000 updates (127 CPU seconds).
In one dimension, on seed 2, `gated` with 32 filters in three blocks at 2e-3 comes to .00158, `resnet` to .00159: there
the bar is met in the median of three seeds, and not by each.

A step of `phy_gs_type` is not one of the equation alone: in each of its twenty steps of ETDRK2 for one of the data,
APEBench's solver takes the wave numbers from 40 of 80 on out of the state, along each axis, before the reactions see it
(its default, against aliasing). They have at most 0.12 % of v's variance, and 0.01 % of u's. With that low pass the
same solver repeats the data. Without it, on the held-out trajectories, it is far from the bar, though it has every
coefficient. A network of convolutions would have to learn a low pass with a sharp edge, which sees far: in its place,
in each of the twenty steps, convolutions along each axis have to be 31 cells wide. Errors summed over u and v, by
`python benchmarks/apebench_gray_scott.py build/apebench/gray_scott_2d.npz`:

| low pass | step 1 | step 2 | step 3 | step 11 | step 50 | after 5 | after 10 | after 25 | after 50 | score |
|---|---|---|---|---|---|---|---|---|---|---|
| the solver's | 6.1e-07 | 6e-07 | 8.2e-07 | 7e-07 | 1.4e-06 | 3.9e-06 | 6.8e-06 | 1.8e-05 | 4.1e-05 | 1.5e-05 |
| none | 0.01 | 0.038 | 0.022 | 0.033 | 0.025 | 0.099 | 0.12 | 0.47 | 0.86 | 0.34 |
| 15 cells | 0.0048 | 0.009 | 0.0089 | 0.013 | 0.011 | 0.013 | 0.029 | 0.085 | 0.26 | 0.077 |
| 31 cells | 0.0031 | 0.0057 | 0.0059 | 0.0083 | 0.0072 | 0.0072 | 0.013 | 0.028 | 0.075 | 0.026 |

So no network of convolutions that learns the equation alone reaches the bar: `resnet` with 32 filters in two blocks had
a score of .476 after 5400 updates (384 CPU seconds), where the equation without the low pass has .34. `pseudospectral`
does. It has the form of a semilinear equation and steps in Fourier space. It is told that there are reactions and no
fluxes (`fluxes: false`), the degree of their polynomials, three, and with it where to cut, at half of the wave numbers,
by the rule that this solver follows, too; its sub-steps are as many as the solver's and of the same kind. What it
learns are the linear part and the reactions, 36 weights. With them the data can be said exactly, other than by the
networks above, and a few pairs of whole states tell them: eight, each from the earlier of two random times, as blobs of
the beginning, up to fourteen standard deviations high, tell the cubic terms apart. Their squared errors count by the
inverse root of the mean square change, by way of the noise of measurements: in the first of fifty steps u changes by
0.19 in the root mean square, in the eleventh by 0.005.

Adam does not find these weights. Error of single steps of two held-out trajectories, one seed each (these trials have
no command):

| training | updates | CPU seconds | step 1 | step 2 | step 3 | step 11 | step 50 | score |
|---|---|---|---|---|---|---|---|---|
| Adam, 100 pairs one by one, 3e-2 with a cosine | 1500 | 452 | .057 | .014 | .0095 | .0045 | .0052 | .27 |
| `levenberg_marquardt`, 8 pairs | 4 | 198 | .056 | .013 | .014 | .0052 | .0053 | — |
| the same | 6 | 314 | .010 | .0009 | .0014 | .0007 | .0007 | — |
| the same | 8 | 412 | 6.7e-6 | 1.4e-6 | 2.0e-6 | 1.4e-6 | 2.0e-6 | — |

An update is one of a pair for Adam, and of all pairs for Levenberg-Marquardt; in the table below each pair of each step
counts as one. With fluxes, 72 weights, and four pairs, each from the earliest of three times, the loss was 1.5e-5 after
ten steps (669 CPU seconds) and fell by a tenth in each, where it is 1.9e-11 after the eight above: not trained to the
end.

The pairs of the seeds 1 and 2 begin with the steps 10 and 4 at the earliest, where v, 1 at first, is .43 and less, and
the stages of a sub-step go beyond the states. At first values entered the polynomials as twice the largest of those to
be learnt from, at most: scores were .00016, .0037 and .0043 with the seeds 0 to 2, and the first step of the latter two
was off by .11 and .14. Without a limit their weights have 3.4e-5 and 3.8e-5 on the held-out trajectories, where they
had .0020 and .0026. Now it is ten times the largest; the table is of trainings with that.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import hyco
from hyco.equations.equation import Equation
from hyco.networks.network_model import NetworkModel
from hyco.networks.synthetic import SyntheticModel
from hyco.observations import Observations
from hyco.runtime.memory import keep_freed_memory
from hyco.runtime.storage import Bundle, read_bundle, write_bundle
from hyco.training.config import SyntheticConfig
from hyco.training.final import final_synthetic_model
from hyco.training.synthetic import train_synthetic
from study import add_line, described, read_lines, write_page

PEER = Path(__file__).with_name("apebench_peer.py")
CPU = torch.device("cpu")
CELLS, UPDATES, SCORED = 160, 10_000, 100
# Training trajectories of two dimensions that no square is cut from: settings are chosen by them.
HELD = 5
# Steps whose error the page has.
SHOWN = (1, 10, 50, 100)
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Squares:
    """What is cut from the training trajectories of two dimensions.

    Attributes:
        count: pairs of squares; each is at a random place and time of a random trajectory.
        inner: cells along each side that count.
        margin: cells around them: as far as the network sees.
        choices: random places, of which that is taken where most changes: most of a Gray-Scott state is empty.
        times: random times, of which the earliest is taken.
        even: whether errors of a square count the less the more it changes: their squares times the inverse root of
            the mean square change. Else all count alike.
    """

    count: int
    inner: int
    margin: int
    choices: int = 1
    times: int = 1
    even: bool = False

    @property
    def cells(self) -> int:
        """Along each side."""
        return self.inner + 2 * self.margin

    @property
    def whole(self) -> bool:
        """Whether they are whole states, which go round."""
        return self.cells == CELLS and not self.margin


@dataclass(frozen=True)
class Problem:
    """A scenario of APEBench, and how hyco learns it.

    Attributes:
        scenario, dimensions: APEBench's.
        rates, parameters: the equation by formula, which names the channels; the network does not know it.
        network: the section `synthetic.network`.
        batch: pairs in an update.
        squares: None: whole states.
        updates: how many; at most APEBench's number.
        bar: score to reach.
        published: of other networks.
    """

    scenario: str
    dimensions: int
    rates: dict[str, str]
    parameters: dict[str, float]
    network: dict[str, Any]
    batch: int
    bar: float
    published: str = "—"
    squares: Squares | None = None
    updates: int = UPDATES
    section: dict[str, Any] = field(default_factory=dict)

    def equation(self, cells: int, boundary: str) -> Equation:
        """The equation on a grid of so many cells of APEBench's size; its step is never taken."""
        size = cells / CELLS
        return hyco.equation(
            {
                "name": "formula",
                "domain": {axis: {"size": size, "resolution": cells} for axis in "xy"[: self.dimensions]},
                "dt": 1.0,
                "fields": {name: {"boundary": boundary} for name in self.rates},
                "rates": self.rates,
                "parameters": self.parameters,
            }
        )

    def observations(self, train: Array, seed: int) -> Observations:
        """What the network learns from, of trajectories `[S, T+1, C, *space]`."""
        if self.squares is None:
            states, equation, space = train, self.equation(CELLS, "periodic"), {}
        else:
            boundary = "periodic" if self.squares.whole else "neumann"
            states, equation = cut(train[:-HELD], self.squares, seed), self.equation(self.squares.cells, boundary)
            ends = [self.squares.margin / CELLS, (self.squares.margin + self.squares.inner) / CELLS]
            space = {} if self.squares.whole else {"space": {"mode": "range", "x": ends, "y": ends}}
        section = {"train_sim": list(range(len(states))), **space}
        observations = hyco.observe(hyco.Trajectories(states, equation), section)
        if self.squares is None or not self.squares.even:
            return observations
        sigma = root_sizes(states, self.squares.margin).reshape(-1, 1, 1, 1, 1).expand(observations.values.shape)
        # A network's loss has the ratios of the measurements' σ alone; as noise it is to be none.
        return replace(observations, sigma_of_values=1e-6 * sigma.double())

    def config(self, observations: Observations) -> SyntheticConfig:
        """The section `synthetic`: as many epochs as make that many updates."""
        each = -(-len(observations.train) * observations.steps // self.batch)
        return SyntheticConfig.model_validate(
            {
                "network": self.network,
                "epochs": self.updates // each,
                "batch_size": self.batch,
                "num_predict_steps": 1,
                "learning_rate": 3e-3,
                **self.section,
            }
        )


PROBLEMS = {
    "burgers_1d": Problem(
        scenario="diff_burgers",
        dimensions=1,
        rates={"u": "nu*laplace(u) - b*u*dx(u)"},
        parameters={"nu": 1.5 / (2 * CELLS**2), "b": 1.5 / CELLS},
        network={"name": "resnet", "filters": 32, "blocks": 3},
        batch=20,
        bar=0.0015,
        published="ResNet .010, ConvNet .024, dilated .055, UNet .061, FNO .067",
    ),
    "burgers_2d": Problem(
        scenario="diff_burgers",
        dimensions=2,
        rates={
            "u": "nu*laplace(u) - b/2*(dx(u*u) + dy(u*v))",
            "v": "nu*laplace(v) - b/2*(dx(u*v) + dy(v*v))",
        },
        parameters={"nu": 1.5 / (4 * CELLS**2), "b": 1.5 / (2 * CELLS)},
        network={"name": "gated", "filters": 24, "blocks": 2},
        batch=4,
        squares=Squares(count=2400, inner=32, margin=8, choices=2),
        section={"learning_rate": 2e-3, "gradient_clip": 1e-3},
        updates=6000,
        bar=0.025,
        published="ResNet .050, dilated .138, ConvNet .144, UNet .161, FNO .326",
    ),
    "gray_scott_2d": Problem(
        scenario="phy_gs_type",
        dimensions=2,
        rates={
            "u": "D*laplace(u) - r*u*v**2 + f*(1 - u)",
            "v": "D/2*laplace(v) + r*u*v**2 - k*v",
        },
        parameters={"D": 20 * 2e-5 / 2.5**2, "r": 20.0, "f": 20 * 0.04, "k": 20 * 0.1},
        network={"name": "pseudospectral", "substeps": 20, "fluxes": False},
        batch=1,
        squares=Squares(count=8, inner=CELLS, margin=0, times=2, even=True),
        section={"optimizer": "levenberg_marquardt"},
        updates=80,
        bar=0.03,
    ),
}


def cut(train: Array, squares: Squares, seed: int) -> Tensor:
    """Pairs of squares of periodic trajectories `[S, T+1, C, x, y]`, `[count, 2, C, cells, cells]`."""
    draw = np.random.default_rng(seed)
    size, at = train.shape[-1], np.arange(squares.cells)
    pairs = np.empty((squares.count, 2, train.shape[2], squares.cells, squares.cells), np.float32)
    for pair in pairs:
        simulation = draw.integers(len(train))
        time = draw.integers(train.shape[1] - 1, size=squares.times).min()
        corners = draw.integers(size, size=(squares.choices, 2))
        places = [train[simulation, time : time + 2][:, :, (x + at) % size][..., (y + at) % size] for x, y in corners]
        pair[:] = max(places, key=lambda place: np.square(place[1] - place[0]).sum())
    return torch.from_numpy(pairs)


def root_sizes(states: Tensor, margin: int) -> Tensor:
    """Square root of the size of the change in the middle of each pair of squares `[S, 2, C, x, y]`, `[S]`.

    Each channel is in units of its change in all squares. A hundredth of the median mean square is added: squares in
    which nothing happens shall not count without limit.
    """
    inner = slice(margin, states.shape[-1] - margin)
    change = states.diff(dim=1)[:, 0, :, inner, inner]
    squares = (change / change.std(dim=(0, 2, 3), keepdim=True)).square().mean(dim=(1, 2, 3))
    return (squares + 0.01 * squares.median()) ** 0.25


def on_whole_states(model: NetworkModel, problem: Problem) -> SyntheticModel:
    """The same network and weights on periodic states of 160 cells along each axis."""
    assert isinstance(model, SyntheticModel)
    layout = problem.equation(CELLS, "periodic").layout
    statistics_ = {name: getattr(model, name).flatten() for name in ("mean", "std", "change_std")}
    whole = SyntheticModel.create(model.config, layout, **statistics_, seed=0)
    whole.load_state_dict(model.state_dict())
    return whole


def errors(predicted: Tensor, truth: Tensor) -> list[float]:
    """APEBench's mean nRMSE of each step, of states `[B, T, C, *space]`: summed over channels, averaged over B."""
    axes = tuple(range(3, truth.ndim))
    relative = torch.linalg.vector_norm(predicted - truth, dim=axes) / torch.linalg.vector_norm(truth, dim=axes)
    return [float(step) for step in relative.sum(dim=2).mean(dim=0)]


def tested(model: SyntheticModel, states: Array) -> list[float]:
    """The error of each step of trajectories `[B, T+1, C, *space]`, a few at a time."""
    parts = torch.from_numpy(states).split(5)
    found = [errors(model.rollout(part[:, 0], part.shape[1] - 1), part[:, 1:]) for part in parts]
    return [float(np.average(step, weights=[len(part) for part in parts])) for step in zip(*found, strict=True)]


def score(per_step: list[float]) -> float:
    """APEBench's: the geometric mean."""
    return float(np.exp(np.log(per_step).mean()))


def draw(name: str, seed: int, data: Path, folder: Path, stop: int | None = None) -> dict[str, Any]:
    """Train a network, or go on with it, and test it.

    Args:
        name: of the problem.
        seed: of the squares, the weights and the batches.
        data: the file of APEBench's trajectories.
        folder: for the checkpoint, from which a training that was ended goes on.
        stop: epoch after which it is tested, however many there are; None: the last.
    """
    problem, path = PROBLEMS[name], folder / f"{name}_{seed}.safetensors"
    with np.load(data) as file:
        observations = problem.observations(file["train"], seed)
    config = problem.config(observations)
    before = read_bundle(path) if path.exists() else None
    steps = train_synthetic(
        observations,
        config,
        seed,
        configuration={"problem": repr(problem), "seed": seed},
        device=CPU,
        checkpoint=before,
        resume=before is not None,
    )
    start, spent = time.process_time(), 0.0 if before is None else before.metadata["cpu_seconds"]
    for checkpoint, record in steps:
        seconds = spent + time.process_time() - start
        last, epoch = checkpoint, record["epoch"]
        write_bundle(path, Bundle(last.tensors, {**last.metadata, "cpu_seconds": seconds}))
        loss = record["metrics"]["synthetic_loss"]
        print(f"{name}, seed {seed}: epoch {epoch} of {config.epochs}, loss {loss:.3g}, {seconds:.0f} s", flush=True)
        if epoch == stop:
            break
    final = final_synthetic_model(last)
    model = on_whole_states(SyntheticModel.from_bundle(final), problem)
    held = None
    with np.load(data) as file:
        if problem.squares is not None:
            held = score(tested(model, file["train"][-HELD:]))
            print(f"{name}, seed {seed}: held-out score {held:.3g}", flush=True)
        per_step = tested(model, file["test"][:, : SCORED + 1])
    each = -(-len(observations.train) * observations.steps // problem.batch)
    return {
        "problem": name,
        "seed": seed,
        "weights": model.weight_count,
        "updates": epoch * each,
        "cpu_seconds": seconds,
        "held": held,
        "score": score(per_step),
        "errors": [per_step[step - 1] for step in SHOWN],
    }


def table(lines: list[dict[str, Any]]) -> str:
    """Every seed, and beside the first of each problem what is published."""
    rows = [
        "| scenario | seed | weights | updates | CPU seconds | held out | score | bar | published |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, problem in PROBLEMS.items():
        of_this = [line for line in lines if line["problem"] == name]
        for line in of_this:
            first = line is of_this[0]
            rows.append(
                f"| {f'`{problem.scenario}`, {problem.dimensions}-D' if first else ''} | {line['seed']} "
                f"| {line['weights']} | {line['updates']} | {line['cpu_seconds']:.0f} "
                f"| {'—' if line['held'] is None else format(line['held'], '.3g')} | {line['score']:.3g} "
                f"| {f'{problem.bar:g}' if first else ''} | {problem.published if first else ''} |"
            )
    return "\n".join(rows)


def steps_table(lines: list[dict[str, Any]]) -> str:
    """The error at some steps, the median of the seeds."""
    rows = [f"| scenario | {' | '.join(f'step {step}' for step in SHOWN)} |", f"|---|{'---|' * len(SHOWN)}"]
    for name, problem in PROBLEMS.items():
        found = [line["errors"] for line in lines if line["problem"] == name]
        if found:
            medians = [statistics.median(of_step) for of_step in zip(*found, strict=True)]
            numbers = " | ".join(f"{value:.2g}" for value in medians)
            rows.append(f"| `{problem.scenario}`, {problem.dimensions}-D | {numbers} |")
    return "\n".join(rows)


def main() -> None:
    """Train, test, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=PROBLEMS, nargs="+", default=list(PROBLEMS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--peers", help="interpreter of the environment that has apebench; for data that are not there")
    parser.add_argument("--folder", type=Path, default=Path("build/apebench"), help="of data, checkpoints and results")
    parser.add_argument("--stop", type=int, help="epoch after which to test, however many there are")
    parser.add_argument("--write", type=Path, help="write the page of the study")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    results = arguments.folder / "results.jsonl"
    done = {(line["problem"], line["seed"]) for line in read_lines([results])}
    for name in arguments.problem:
        for seed in arguments.seeds:
            if (name, seed) in done:
                continue
            data = arguments.folder / f"{name}.npz"
            if not data.exists():
                make_data(PROBLEMS[name], data, arguments.peers)
            line = draw(name, seed, data, arguments.folder, arguments.stop)
            add_line(None if arguments.stop else results, line)
            print(table([line]), flush=True)
    if arguments.write:
        lines = sorted(read_lines([results]), key=lambda line: line["seed"])
        parts = [
            table(lines),
            "Error after so many steps of the rollouts, the median of the seeds:",
            steps_table(lines),
        ]
        title, words = "Networks on the data of APEBench", described(__doc__)
        write_page(arguments.write, title, words, commands(lines), "\n\n".join(parts))


def commands(lines: list[dict[str, Any]]) -> list[str]:
    """What trains all of these: the seed 0 of every problem, and others."""
    found = ["make bench-apebench"]
    for name in PROBLEMS:
        seeds = [str(line["seed"]) for line in lines if line["problem"] == name and line["seed"]]
        if seeds:
            command = f"python benchmarks/apebench_networks.py --problem {name} --seeds {' '.join(seeds)}"
            found.append(f"{command} --write docs/studies/apebench.md")
    return found


def make_data(problem: Problem, path: Path, python: str | None) -> None:
    """Have APEBench make the trajectories.

    Raises:
        SystemExit: no interpreter is given.
    """
    if python is None:
        raise SystemExit(f"{path} is not there: give --peers, the interpreter of the environment that makes it")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    subprocess.run([python, str(PEER), problem.scenario, str(problem.dimensions), str(part)], check=True)
    part.replace(path)


if __name__ == "__main__":
    main()

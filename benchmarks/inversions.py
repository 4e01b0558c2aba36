"""Coefficients of three equations from the same data: hyco beside a physics-informed network and a weak-form fit.

    python benchmarks/inversions.py --results lines.jsonl                                # hyco alone
    python benchmarks/inversions.py --peers PYTHON --results lines.jsonl --only Heat     # one equation beside the peers
    make bench-peers                                                                     # all, and the page

`PYTHON` is the interpreter of the peers' environment, `.venv-peers/bin/python` (`make bench-peers`). A draw is one of
the noise (and of the points): all solvers of it run in turn, and add a line each to the file of results; draws that it
has are not run again. The page is of all its lines.

Burgers: the file of Raissi, Perdikaris and Karniadakis, see `raissi_burgers`, all 256 × 100 points for hyco and
pysindy, which needs a grid, or 2000 of them for hyco and DeepXDE. Heat: two waves on a periodic line of 64 cells, 40
times, exact. Gray-Scott: a periodic line of 128 cells, 40 times, four coefficients; the truth is SciPy's DOP853 with
Fourier derivatives. Of both also every fourth place, or time. Noise is 1 % of the standard deviation of each field.
All of them get the state at t = 0 free of noise, at the places that are measured (of Burgers hyco has the formula),
and all begin with the same guess, of which pysindy's needs none. hyco's grid for Burgers has 510 cells, and 765 where
it is given all points: on 510 a fit of all points without noise has a viscosity that is .37 % too small, three times
what noise would do. The report of a fit with noise says so (.39 % are the grid's), and its interval has the true value
in it.

*pysindy*: least squares with the terms of the equation alone on 2000 subdomains, whose half width is the part of the
domain that the table says, on the grid of the places and times that are measured. Times are processor times on one
thread, imports left out, the median of the draws; hyco's first draw of each time that the script is run has the
recording of its step in it. An error is that of a coefficient relative to its true value; of several draws of the
noise it is the root of the mean square. The bound is that of Cramér and Rao, the smallest standard deviation that an
estimate without bias has with these data: whose errors are as large as it (a ratio of 1, of ten draws between 0.6 and
1.4) cannot be beaten.

*DeepXDE*: coefficients are trained with the weights (`dde.Variable`), float64 (else its line search ends early), Adam,
then L-BFGS, in PyTorch, which has L-BFGS and takes 0.6 times as long for a step of Adam as its JAX. Burgers: eight
layers of 20, residuals at 2000 points, 1000 steps of Adam at a rate of 0.001. Heat and Gray-Scott, which are smooth:
four layers of 32, residuals at 1000 points; coefficients are multiples of their guess, and residuals multiplied by the
duration, so that all that is trained is of the size of 1; a periodic line is told to the network by cosine and sine of
the place, which costs no condition. Heat: 300 steps of Adam. Gray-Scott: Adam alone, at a rate of 0.005, with 250 of
the measurements of each field in a step, other ones in each: DeepXDE works out derivatives at the measurements, too,
and takes seven times as long for a step with all 10496 of them. There the squares of the measurements' residuals weigh
100 times as much as those of the equation's: with equal weights diffusivity_u is 53 % off at the end. It stops when it
has taken 60 times as long as hyco for the same draw, but not before 2 minutes are over, of heat half a minute. The
estimates are noted every 50 steps, and it has reached hyco's errors when all are as small as the root mean square of
hyco's, if only once. Where it has not, the ratio of times is a lower bound.
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.signal import resample

from hyco.inversion.calibrator import Calibrator
from hyco.observations import Observations
from hyco.runtime.random_streams import stream
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper
from hyco.training.physical import PhysicalConfig
from peers import Peer
from problems.coefficients import PROBLEMS, Array, Problem
from study import add_line, described, read_lines, write_page

Line = dict[str, Any]
NOISE = 0.01
# How many times as long as hyco DeepXDE may take, at least.
AS_LONG = 60
FIFTH = 0.2


def measured(problem: Problem, draw: int) -> dict[str, Array]:
    """A draw of the noise: places, times, values and a mask `[T+1, C, K]`, and the noise of each field `[C]`."""
    x, t, truth = problem.data()
    noise = NOISE * truth.std(axis=(0, 2))
    normal = torch.randn(truth.shape, generator=stream(draw, "noise"), dtype=torch.float64).numpy()
    values = truth + noise[:, None] * normal
    values[0] = truth[0]
    mask = np.zeros(truth.shape, dtype=bool)
    places, times = problem.every
    mask[::times, :, ::places] = True
    if problem.points is not None:
        chosen = torch.randperm(truth[1:].size, generator=stream(draw, "points"))[: problem.points]
        mask[1:] = False
        mask[1:].reshape(-1)[chosen.numpy()] = True
    return {"x": x, "t": t, "values": values, "mask": mask, "noise": noise}


def observed(problem: Problem, data: dict[str, Array]) -> Observations:
    """A draw on hyco's cells."""
    equation, cells = problem.model()
    steps, channels = len(data["t"]) - 1, len(data["noise"])
    values = torch.zeros(1, steps + 1, channels, *equation.layout.shape, dtype=torch.float64)
    mask = torch.zeros(values.shape, dtype=torch.bool)
    at = torch.from_numpy(cells)
    # Where two places are one cell the first one counts.
    values[0, :, :, at.flip(0)] = torch.from_numpy(data["values"].copy()).flip(-1)
    mask[0, :, :, at.flip(0)] = torch.from_numpy(data["mask"].copy()).flip(-1)
    mask[:, 0] = False
    values = torch.where(mask, values, 0.0)
    if problem.equation == "burgers":  # it is known between the points, too
        start = -torch.sin(math.pi * torch.from_numpy(equation.layout.grid.centers("x")))[None]
    else:  # of waves that the places resolve
        start = torch.from_numpy(resample(data["values"][0, :, :: problem.every[0]], len(cells), axis=-1))
    return Observations(
        values=values,
        mask=mask,
        initial_states=start[None],
        noise_std=torch.from_numpy(data["noise"]),
        train=[0],
        val=[],
        layout=equation.layout,
        dt=equation.dt,
    )


def by_hyco(problem: Problem, data: dict[str, Array]) -> dict[str, Any]:
    """The estimates, and the processor time."""
    begin = time.process_time()
    equation, steps = problem.model()[0], len(data["t"]) - 1
    observations = observed(problem, data)
    learnable = [
        {"name": name, "initial_guess": value, "bounds": list(problem.bounds[name])}
        for name, value in problem.guess.items()
    ]
    physical = PhysicalConfig.model_validate(
        {"learnable_parameters": learnable, "method": "Levenberg-Marquardt", "num_predict_steps": steps}
    )
    device = torch.device("cpu")
    trainer = Calibrator(equation, observations, physical, num_predict_steps=steps, device=device)
    trainer.update()
    found = {name: number.value for name, number in trainer.model.numbers().items()}
    return {"estimates": found, "seconds": time.process_time() - begin}


@torch.no_grad()
def bounds_of(problem: Problem, data: dict[str, Array]) -> dict[str, float]:
    """The Cramér-Rao bound of a draw: the smallest standard deviation of each coefficient, relative.

    From the differences of two of hyco's rollouts at the true coefficients for each.
    """
    equation, observations = problem.model()[0], observed(problem, data)
    stepper, true = Stepper(equation), equation.parameter_tensors(torch.float64)
    # Of a copy for each coefficient that is a little larger, and one for each that is smaller.
    count, change = len(problem.true), 1e-5
    moved = {name: value.repeat(2 * count) for name, value in true.items()}
    for i, name in enumerate(problem.true):
        moved[name][i] *= 1 + change
        moved[name][count + i] *= 1 - change
    starts = observations.initial_states.repeat(2 * count, 1, 1)
    states = rollout(stepper.bind(starts, moved), starts, len(data["t"]) - 1)
    slopes = (states[:count] - states[count:]) / (2 * change) / observations.noise_std[:, None]
    jacobian = slopes[:, observations.mask[0, 1:]]
    variances = torch.linalg.inv(jacobian @ jacobian.T).diagonal()
    return dict(zip(problem.true, variances.sqrt().tolist(), strict=True))


def errors_of(problem: Problem, estimates: dict[str, float]) -> dict[str, float]:
    """Of each coefficient, relative."""
    return {key: estimates[key] / true - 1 for key, true in problem.true.items()}


def by_peer(problem: Problem, data: dict[str, Array], solver: str, ours: float, peer: Peer) -> dict[str, Any]:
    """The estimates and the processor time of another solver; hyco's is `ours` [s]."""
    name, _, part = solver.partition(" 1/")
    if part:  # it wants a grid
        places, times = problem.every
        values = data["values"][::times, :, ::places]
        data = {**data, "x": data["x"][::places], "t": data["t"][::times], "values": values}
        more: dict[str, Any] = {"part": int(part)}
    else:
        more = {"guess": problem.guess, "limit": max(problem.limit, AS_LONG * ours)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        np.savez(path, **data)
        answer: dict[str, Any] = peer.ask(solver=name, equation=problem.equation, problem=str(path), **more)
    return answer


def solvers_of(problem: Problem, draw: int, peer: Peer | None) -> list[str]:
    """Whom a draw is for; hyco is the first."""
    if peer is None:
        return ["hyco"]
    weak_forms = [f"pysindy 1/{part}" for part in problem.parts]
    return ["hyco", *weak_forms, *(["deepxde"] if draw < problem.pinn_draws else [])]


def new_lines(problem: Problem, name: str, draw: int, known: Sequence[Line], peer: Peer | None) -> Iterator[Line]:
    """What each solver finds from one draw, in turn, but those of which there is a line."""
    data = measured(problem, draw)
    own = {line["solver"]: line for line in known if (line["problem"], line["draw"]) == (name, draw)}
    for solver in solvers_of(problem, draw, peer):
        if solver in own:
            continue
        if solver == "hyco":
            answer = by_hyco(problem, data)
        else:
            assert peer is not None
            answer = by_peer(problem, data, solver, own["hyco"]["seconds"], peer)
        errors = errors_of(problem, answer["estimates"])
        line: Line = {"problem": name, "solver": solver, "draw": draw, "errors": errors, "seconds": answer["seconds"]}
        if solver == "hyco":
            line["bounds"] = bounds_of(problem, data)
        if "history" in answer:
            line["history"] = [[seconds, errors_of(problem, estimates)] for seconds, estimates in answer["history"]]
        own[solver] = line
        yield line


def rms(lines: list[Line], key: str, of: str = "errors") -> float:
    """Root of the mean square of the error, or the bound, of a coefficient."""
    return math.sqrt(statistics.fmean(line[of][key] ** 2 for line in lines))


def of_solver(lines: list[Line], name: str, solver: str) -> list[Line]:
    """The draws of a problem that a solver was given."""
    return [line for line in lines if (line["problem"], line["solver"]) == (name, solver)]


def table(lines: list[Line]) -> str:
    """A row for each problem and solver; ratios are those of the same draws."""
    rows = [
        "| problem | solver | draws | errors | errors / bound "
        "| time [CPU s] | its time / hyco's | hyco's errors / its |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, problem in PROBLEMS.items():
        for solver in ("hyco", *(f"pysindy 1/{part}" for part in problem.parts)):
            own = of_solver(lines, name, solver)
            if not own:
                continue
            draws = {line["draw"] for line in own}
            ours = [line for line in of_solver(lines, name, "hyco") if line["draw"] in draws]
            errors = ", ".join(f"{key} {rms(own, key):.3%}" for key in problem.true)
            seconds = statistics.median(line["seconds"] for line in own)
            cells = [name, solver, str(len(draws)), errors, "", f"{seconds:.2f}", "", ""]
            if ours:
                cells[4] = ", ".join(f"{rms(own, key) / rms(ours, key, 'bounds'):.2f}" for key in problem.true)
            if ours and solver != "hyco":
                cells[6] = f"{seconds / statistics.median(line['seconds'] for line in ours):.1f}"
                cells[7] = ", ".join(f"{rms(ours, key) / rms(own, key):.2f}" for key in problem.true)
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def first_within(history: list[tuple[float, dict[str, float]]], errors: dict[str, float]) -> float | None:
    """The time from which on no error of a history was larger than these for the first time; None: never."""
    within = (time for time, own in history if all(abs(own[key]) <= error for key, error in errors.items()))
    return next(within, None)


def pinn_table(lines: list[Line]) -> str:
    """DeepXDE's time to hyco's errors, or what it has reached when its time was over, a row for each draw."""
    rows = [
        "| problem | draw | hyco's errors, all draws | hyco's time [CPU s] | DeepXDE's time to these [CPU s] | ratio "
        "| DeepXDE's errors at its end |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, problem in PROBLEMS.items():
        ours = of_solver(lines, name, "hyco")
        for line in of_solver(lines, name, "deepxde"):
            errors = {key: rms(ours, key) for key in problem.true}
            (seconds,) = (own["seconds"] for own in ours if own["draw"] == line["draw"])
            reached, last = first_within(line["history"], errors), line["history"][-1][0]
            spent = f"not in {last:.0f}" if reached is None else f"{reached:.0f}"
            ratio = f"> {last / seconds:.0f}" if reached is None else f"{reached / seconds:.0f}"
            found, theirs = (", ".join(f"{k} {abs(e):.2%}" for k, e in own.items()) for own in (errors, line["errors"]))
            cells = [name, str(line["draw"] + 1), found, f"{seconds:.2f}", spent, ratio, theirs]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def what_bounds_allow(lines: list[Line]) -> str:
    """How far the smallest errors of pysindy are from the bound: by how much nothing else can be ahead of them."""
    found, near = [], []
    for name, problem in PROBLEMS.items():
        own = [draws for part in problem.parts if (draws := of_solver(lines, name, f"pysindy 1/{part}"))]
        ours = of_solver(lines, name, "hyco")
        if not (own and ours):
            continue
        parts = {key: rms(ours, key, "bounds") / min(rms(draws, key) for draws in own) for key in problem.true}
        found.append(f"{name}: {', '.join(f'{key} {part:.2f}' for key, part in parts.items())}")
        near += [f"{name}: {key}" for key, part in parts.items() if part > FIFTH]
    if not found:
        return ""
    text = "No estimate without bias can have errors below these parts of the smallest of pysindy's"
    text += f" (the bound divided by that error): {'; '.join(found)}."
    text += f" A fifth of pysindy's errors cannot be had where that is more: {'; '.join(near)}." if near else ""
    return textwrap.fill(text, 119, break_on_hyphens=False)


def main() -> None:
    """Run the draws that there are no lines of, and write the page of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="interpreter of the environment that has DeepXDE and pysindy")
    parser.add_argument("--only", help="problems whose name begins so")
    parser.add_argument("--draws", type=int, help="of each problem at most so many")
    parser.add_argument("--results", type=Path, required=True, help="file that a line is appended to per draw")
    parser.add_argument("--write", type=Path, help="write the page of the study")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    lines = read_lines([arguments.results])
    peer = Peer(arguments.peers, "inversions_peer.py") if arguments.peers else None
    for name, problem in PROBLEMS.items():
        if not name.startswith(arguments.only or ""):
            continue
        draws = problem.draws if arguments.draws is None else min(arguments.draws, problem.draws)
        for draw in range(draws):
            for line in new_lines(problem, name, draw, lines, peer):
                lines.append(line)
                add_line(arguments.results, line)
    if peer is not None:
        peer.close()
    parts = [table(lines), what_bounds_allow(lines), pinn_table(lines)]
    found = "\n\n".join(part for part in parts if part)
    print(found)
    if arguments.write:
        title = "Coefficients from data, beside DeepXDE and pysindy"
        write_page(arguments.write, title, described(__doc__), ["make bench-peers"], found)


if __name__ == "__main__":
    main()

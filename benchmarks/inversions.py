"""Coefficients of three equations from the same data: hyco beside a physics-informed network and a weak-form fit.

    python benchmarks/inversions.py --results lines.jsonl                                # hyco alone
    python benchmarks/inversions.py --peers PYTHON --results lines.jsonl --draws 5       # beside pysindy
    python benchmarks/inversions.py --peers PYTHON --results lines.jsonl --pinn          # beside DeepXDE, one draw
    python benchmarks/inversions.py --results lines.jsonl --draws 0 --write docs/studies/inversions.md

`PYTHON` is the interpreter of the peers' environment, `.venv-peers/bin/python` (`make bench-peers`).

Burgers: the file of Raissi, Perdikaris and Karniadakis, see `raissi_burgers`, all 256 × 100 points for all of the three
or 2000 of them for hyco and DeepXDE (pysindy needs a grid). Heat: two waves on a periodic line of 64 cells, 40 times,
exact. Gray-Scott: a periodic line of 128 cells, 40 times, four coefficients; the truth is SciPy's DOP853 with Fourier
derivatives. Noise is 1 % of the standard deviation of each field. All of them get the state at t = 0 free of noise,
and all begin with the same guess, of which pysindy's needs none.

pysindy: least squares with the terms of the equation alone on 2000 subdomains, whose half width is the part of the
domain that the table says. Times are processor times on one thread, imports left out. An error is that of a coefficient
relative to its true value; of several draws of the noise it is the root of the mean square. The bound is that of Cramér
and Rao, the smallest standard deviation that an estimate without bias has with these data: whose errors are as large as
it (a ratio of 1, of ten draws between 0.6 and 1.4) cannot be beaten.

DeepXDE: eight layers of 20, float64 (else its line search ends early), residuals at 2000 points, 1000 steps of Adam,
then L-BFGS, in PyTorch: 0.6 times the time of its JAX for a step of Adam, for which it has no L-BFGS. It stops when the
time that it is given is over; the estimates are noted every 50 steps, and it has reached hyco's errors when all are as
small as the root mean square of hyco's, if only once. Where it has not, the ratio of times is a lower bound.
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

import raissi_burgers
from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.observations import Observations
from hyco.runtime.random_streams import stream
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper
from hyco.training.physical import PhysicalConfig
from peers import Peer
from problems import raissi_burgers as burgers
from study import add_line, described, read_lines, write_page

Array = NDArray[np.float64]
Line = dict[str, Any]
NOISE = 0.01
RAISSI_CELLS = 510
# Half widths of pysindy's subdomains, as parts of the domain.
WEAK_FORMS = ("pysindy 1/20", "pysindy 1/10", "pysindy 1/5")


@dataclass(frozen=True)
class Problem:
    """What is to be found.

    Attributes:
        equation: its name for the peers.
        true, guess, bounds: of each coefficient.
        data: places `[K]`, times `[T+1]` and the true states `[T+1, C, K]`.
        model: hyco's equation, and the cells that the places are.
        points: how many of the measurements there are; None: all.
        limit: of DeepXDE's processor time [s].
    """

    equation: str
    true: dict[str, float]
    guess: dict[str, float]
    bounds: dict[str, tuple[float, float]]
    data: Callable[[], tuple[Array, Array, Array]]
    model: Callable[[], tuple[Equation, Array]]
    points: int | None = None
    limit: float = 120.0


@cache
def burgers_data() -> tuple[Array, Array, Array]:
    """Raissi's points."""
    x, t = burgers.points()
    return x, t, burgers.truth(x[None], t[:, None])[:, None]


@cache
def burgers_model() -> tuple[Equation, Array]:
    """-1 and 1 are the same cell."""
    return raissi_burgers.equation(RAISSI_CELLS), np.arange(256) * (RAISSI_CELLS // 255) % RAISSI_CELLS


DIFFUSIVITY, WAVES = 0.1, ((1, 1.0, 0.3), (2, 0.5, 1.1))


@cache
def heat_data() -> tuple[Array, Array, Array]:
    """Two waves that decay."""
    x, t = 2 * math.pi * (np.arange(64) + 0.5) / 64, np.linspace(0.0, 4.0, 41)
    waves = [a * np.exp(-DIFFUSIVITY * k**2 * t)[:, None] * np.sin(k * x + phase) for k, a, phase in WAVES]
    return x, t, np.asarray(sum(waves))[:, None]


@cache
def heat_model() -> tuple[Equation, Array]:
    """The same cells."""
    domain = {"x": {"size": 2 * math.pi, "resolution": 64}}
    section = {"name": "heat", "domain": domain, "dt": 0.1, "parameters": {"diffusivity": DIFFUSIVITY}}
    return build_equation(section), np.arange(64)


GRAY_SCOTT = {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051}
GRAY_SCOTT_SIZE, GRAY_SCOTT_CELLS = 60.0, 128


@cache
def gray_scott_data() -> tuple[Array, Array, Array]:
    """Smooth concentrations, in Fourier space."""
    n, size = GRAY_SCOTT_CELLS, GRAY_SCOTT_SIZE
    x, t = size * (np.arange(n) + 0.5) / n, np.linspace(0.0, 40.0, 41)
    squared = (2 * math.pi * np.fft.rfftfreq(n, size / n)) ** 2
    s = 2 * math.pi * x / size
    u = 0.6 + 0.2 * np.cos(s + 0.4) + 0.1 * np.sin(2 * s)
    v = 0.25 + 0.1 * np.sin(s) + 0.1 * np.cos(3 * s + 1)

    def rate(_: float, state: Array) -> Array:
        u, v = state.reshape(2, n)
        bent = [np.fft.irfft(-squared * np.fft.rfft(f), n) for f in (u, v)]
        reaction, feed, kill = u * v**2, GRAY_SCOTT["feed"], GRAY_SCOTT["kill"]
        first = GRAY_SCOTT["diffusivity_u"] * bent[0] - reaction + feed * (1 - u)
        return np.concatenate([first, GRAY_SCOTT["diffusivity_v"] * bent[1] + reaction - (feed + kill) * v])

    found = solve_ivp(rate, (0.0, 40.0), np.concatenate([u, v]), "DOP853", t, rtol=1e-10, atol=1e-12)
    return x, t, found.y.T.reshape(len(t), 2, n)


@cache
def gray_scott_model() -> tuple[Equation, Array]:
    """The same cells."""
    domain = {"x": {"size": GRAY_SCOTT_SIZE, "resolution": GRAY_SCOTT_CELLS}}
    section = {"name": "gray_scott", "domain": domain, "dt": 1.0, "substeps": 2, "parameters": GRAY_SCOTT}
    return build_equation(section), np.arange(GRAY_SCOTT_CELLS)


_RAISSI: tuple[Any, ...] = (
    "burgers",
    raissi_burgers.TRUE,
    {"convection": 0.5, "viscosity": 0.02},
    {"convection": (0.1, 1.5), "viscosity": (1e-3, 0.2)},
    burgers_data,
    burgers_model,
)
PROBLEMS = {
    "Burgers, 2000 points": Problem(*_RAISSI, points=2000),
    "Burgers, all points": Problem(*_RAISSI),
    "Heat": Problem(
        "heat",
        {"diffusivity": DIFFUSIVITY},
        {"diffusivity": 0.3},
        {"diffusivity": (0.005, 1.0)},
        heat_data,
        heat_model,
        limit=20.0,
    ),
    "Gray-Scott": Problem(
        "gray_scott",
        GRAY_SCOTT,
        {"diffusivity_u": 0.1, "diffusivity_v": 0.16, "feed": 0.03, "kill": 0.03},
        {name: (0.2 * value, 4 * value) for name, value in GRAY_SCOTT.items()},
        gray_scott_data,
        gray_scott_model,
        limit=60.0,
    ),
}


def measured(problem: Problem, draw: int) -> dict[str, Array]:
    """A draw of the noise: places, times, values and a mask `[T+1, C, K]`, and the noise of each field `[C]`."""
    x, t, truth = problem.data()
    noise = NOISE * truth.std(axis=(0, 2))
    normal = torch.randn(truth.shape, generator=stream(draw, "noise"), dtype=torch.float64).numpy()
    values = truth + noise[:, None] * normal
    values[0] = truth[0]
    mask = np.ones(truth.shape, dtype=bool)
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
    else:
        start = torch.from_numpy(data["values"][0].copy())
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


def draw_lines(problem: Problem, name: str, draw: int, solvers: list[str], peer: Peer | None) -> list[Line]:
    """What each solver finds from one draw."""
    data, found = measured(problem, draw), []
    for solver in solvers:
        if solver == "hyco":
            answer = by_hyco(problem, data)
        else:
            assert peer is not None
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "problem.npz"
                np.savez(path, **data)
                asked = {"solver": solver, "equation": problem.equation, "problem": str(path)}
                if solver == "deepxde":
                    answer = peer.ask(**asked, guess=problem.guess, limit=problem.limit)
                else:
                    name_of_it, _, part = solver.partition(" 1/")
                    answer = peer.ask(**{**asked, "solver": name_of_it}, part=int(part))
        errors = errors_of(problem, answer["estimates"])
        line: Line = {"problem": name, "solver": solver, "draw": draw, "errors": errors, "seconds": answer["seconds"]}
        if solver == "hyco":
            line["bounds"] = bounds_of(problem, data)
        if "history" in answer:
            line["history"] = [[seconds, errors_of(problem, estimates)] for seconds, estimates in answer["history"]]
        found.append(line)
    return found


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
        for solver in ("hyco", *WEAK_FORMS):
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
    """DeepXDE's time to hyco's errors, or what it has reached when its time was over."""
    rows = [
        "| problem | hyco's errors | hyco's time [CPU s] | DeepXDE's time to these [CPU s] | ratio "
        "| DeepXDE's errors at its end |",
        "|---|---|---|---|---|---|",
    ]
    for name, problem in PROBLEMS.items():
        ours = of_solver(lines, name, "hyco")
        for line in of_solver(lines, name, "deepxde"):
            errors = {key: rms(ours, key) for key in problem.true}
            seconds = statistics.median(own["seconds"] for own in ours)
            reached, last = first_within(line["history"], errors), line["history"][-1][0]
            spent = f"not in {last:.0f}" if reached is None else f"{reached:.0f}"
            ratio = f"> {last / seconds:.0f}" if reached is None else f"{reached / seconds:.0f}"
            found, theirs = (", ".join(f"{k} {abs(e):.2%}" for k, e in own.items()) for own in (errors, line["errors"]))
            rows.append(f"| {name} | {found} | {seconds:.2f} | {spent} | {ratio} | {theirs} |")
    return "\n".join(rows)


def main() -> None:
    """Run draws, or write the page of those that were run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="interpreter of the environment that has DeepXDE and pysindy")
    parser.add_argument("--only", help="problems whose name begins so")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--pinn", action="store_true", help="DeepXDE instead of pysindy")
    parser.add_argument("--results", type=Path, required=True, help="file that a line is appended to per draw")
    parser.add_argument("--write", type=Path, help="write the page of the study")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    lines = read_lines([arguments.results])
    done = {(line["problem"], line["solver"], line["draw"]) for line in lines}
    peer = Peer(arguments.peers, "inversions_peer.py") if arguments.peers else None
    for name, problem in PROBLEMS.items():
        if not name.startswith(arguments.only or ""):
            continue
        solvers = ["hyco"]
        if arguments.pinn:
            solvers.append("deepxde")
        elif problem.points is None:  # the weak form is one of grids
            solvers += WEAK_FORMS
        if peer is None:
            solvers = ["hyco"]
        for draw in range(arguments.draws):
            missing = [solver for solver in solvers if (name, solver, draw) not in done]
            for line in draw_lines(problem, name, draw, missing, peer):
                lines.append(line)
                add_line(arguments.results, line)
    if peer is not None:
        peer.close()
    tables = f"{table(lines)}\n\n{pinn_table(lines)}"
    print(tables)
    if arguments.write:
        title = "Coefficients from data, beside DeepXDE and pysindy"
        write_page(arguments.write, title, described(__doc__), ["make bench-peers"], tables)


if __name__ == "__main__":
    main()

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

DeepXDE: eight layers of 20, 10 000 steps of Adam, then L-BFGS; pysindy: least squares with the terms of the equation
alone on 2000 subdomains, whose half width is the part of the domain that the table says. Times are processor times on
one thread, imports left out. An error is that of a coefficient relative to its true value; of several draws of the
noise it is the root of the mean square.
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
    """

    equation: str
    true: dict[str, float]
    guess: dict[str, float]
    bounds: dict[str, tuple[float, float]]
    data: Callable[[], tuple[Array, Array, Array]]
    model: Callable[[], tuple[Equation, Array]]
    points: int | None = None


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
    ),
    "Gray-Scott": Problem(
        "gray_scott",
        GRAY_SCOTT,
        {"diffusivity_u": 0.1, "diffusivity_v": 0.16, "feed": 0.03, "kill": 0.03},
        {name: (0.2 * value, 4 * value) for name, value in GRAY_SCOTT.items()},
        gray_scott_data,
        gray_scott_model,
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


def by_hyco(problem: Problem, data: dict[str, Array]) -> dict[str, Any]:
    """The estimates, and the processor time."""
    begin = time.process_time()
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
    observations = Observations(
        values=values,
        mask=mask,
        initial_states=start[None],
        noise_std=torch.from_numpy(data["noise"]),
        train=[0],
        val=[],
        layout=equation.layout,
        dt=equation.dt,
    )
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


def errors_of(problem: Problem, answer: dict[str, Any]) -> dict[str, float]:
    """Of each coefficient, relative."""
    return {key: answer["estimates"][key] / true - 1 for key, true in problem.true.items()}


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
                    answer = peer.ask(**asked, guess=problem.guess)
                else:
                    name_of_it, _, part = solver.partition(" 1/")
                    answer = peer.ask(**{**asked, "solver": name_of_it}, part=int(part))
        errors = errors_of(problem, answer)
        found.append({"problem": name, "solver": solver, "draw": draw, "errors": errors, "seconds": answer["seconds"]})
    return found


def rms(lines: list[Line], key: str) -> float:
    """Root of the mean square of the error of a coefficient."""
    return math.sqrt(statistics.fmean(line["errors"][key] ** 2 for line in lines))


def table(lines: list[Line]) -> str:
    """A row for each problem and solver; ratios are those of the same draws."""
    rows = [
        "| problem | solver | draws | errors | time [CPU s] | its time / hyco's | hyco's errors / its |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, problem in PROBLEMS.items():
        for solver in ("hyco", "deepxde", *WEAK_FORMS):
            own = [line for line in lines if (line["problem"], line["solver"]) == (name, solver)]
            if not own:
                continue
            draws = {line["draw"] for line in own}
            ours = [
                line for line in lines if (line["problem"], line["solver"]) == (name, "hyco") and line["draw"] in draws
            ]
            errors = ", ".join(f"{key} {rms(own, key):.2%}" for key in problem.true)
            seconds = statistics.median(line["seconds"] for line in own)
            cells = [name, solver, str(len(draws)), errors, f"{seconds:.2f}"]
            if solver == "hyco" or not ours:
                cells += ["", ""]
            else:
                cells.append(f"{seconds / statistics.median(line['seconds'] for line in ours):.1f}")
                cells.append(", ".join(f"{rms(ours, key) / rms(own, key):.2f}" for key in problem.true))
            rows.append(f"| {' | '.join(cells)} |")
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
    print(table(lines))
    if arguments.write:
        title = "Coefficients from data, beside DeepXDE and pysindy"
        write_page(arguments.write, title, described(__doc__), ["make bench-peers"], table(lines))


if __name__ == "__main__":
    main()

"""The first guess by the weak form: how far it is from the optimum, and what a whole inversion costs that begins there.

    python benchmarks/first_guess.py --draws 5 --results lines.jsonl --write docs/studies/first_guess.md

One trajectory of each equation, all cells at all times, with noise of 1 % of each field's standard deviation; the state
at t = 0 is measured like the others, and unknown. Burgers: 128 cells, 41 times. Fisher-KPP: 128 cells, 41 times. Heat
and Gray-Scott: those of `inversions`. The states are exact, or of SciPy's DOP853 with Fourier derivatives. The first
guess of each coefficient is as far off as the table says; the bounds are twice as far to both sides.

*Distance*: of the weak form's guess from the optimum, the end of the search, relative; the largest of all draws. Times
are processor times of `hyco.fit` on one thread, from the measurements to estimates with error bars and tests of the
residuals: the median of the draws but the first, in which the step is recorded, too, and that of the first.
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
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

import hyco
from hyco.equations.equation import Equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.weak_form import weak_form_guess
from hyco.observations import Observations
from hyco.runtime.random_streams import stream
from hyco.training.physical import PhysicalConfig
from problems import coefficients
from study import add_line, described, read_lines, write_page

Array = NDArray[np.float64]
Line = dict[str, Any]
NOISE, CELLS, SIZE = 0.01, 128, 10.0
LINE = {"x": {"size": SIZE, "resolution": CELLS}}


@dataclass(frozen=True)
class Problem:
    """What is to be found.

    Attributes:
        equation: hyco's.
        true: coefficients.
        off: what the first guess of each is divided by its true value.
        states: the true ones, `[T+1, C, N]`.
    """

    equation: Callable[[], Equation]
    true: dict[str, float]
    off: dict[str, float]
    states: Callable[[], Array]

    @property
    def learn(self) -> list[dict[str, Any]]:
        """The unknowns as hyco is told of them."""
        found = []
        for name, true in self.true.items():
            widest = 2 * max(self.off[name], 1 / self.off[name])
            bounds = [true / widest, true * widest]
            found.append({"name": name, "initial_guess": self.off[name] * true, "bounds": bounds})
        return found


def solved(rate: Callable[[Array, Callable[[Array], Array]], Array], start: Array, end: float) -> Array:
    """41 states `[41, 1, N]` of u_t = rate(u, d), where d(u) is the derivative by Fourier modes."""
    waves = 2j * math.pi * np.fft.rfftfreq(CELLS, SIZE / CELLS)
    waves[-1] = 0.0

    def derivative(values: Array) -> Array:
        return np.fft.irfft(waves * np.fft.rfft(values), CELLS)

    times = np.linspace(0.0, end, 41)
    found = solve_ivp(lambda _, u: rate(u, derivative), (0.0, end), start, "DOP853", times, rtol=1e-10, atol=1e-12)
    return np.asarray(found.y.T[:, None])


def waves(*sizes: float) -> Array:
    """Sums of the first waves of the box."""
    angle = 2 * math.pi * (np.arange(CELLS) + 0.5) / CELLS
    return np.asarray(sum(size * np.cos((k + 1) * angle + k * k) for k, size in enumerate(sizes)))


@cache
def burgers_states() -> Array:
    """Waves that steepen."""
    return solved(lambda u, d: 0.1 * d(d(u)) - d(u * u) / 2, waves(1.0, 0.6, 0.3), 4.0)


@cache
def fisher_states() -> Array:
    """Patches that grow together."""
    return solved(lambda u, d: 0.1 * d(d(u)) + u * (1 - u), 0.3 + waves(0.15, 0.1, 0.03), 4.0)


@cache
def burgers() -> Equation:
    """By Fourier modes."""
    parameters = {"viscosity": 0.1, "convection": 1.0}
    return hyco.equation({"name": "burgers", "scheme": "spectral", "domain": LINE, "dt": 0.1, "parameters": parameters})


@cache
def fisher() -> Equation:
    """As a formula."""
    return hyco.equation(
        {
            "name": "formula",
            "domain": LINE,
            "dt": 0.1,
            "fields": {"u": {"boundary": "periodic"}},
            "rates": {"u": "D*dx(dx(u)) + r*u*(1 - u)"},
            "parameters": {"D": 0.1, "r": 1.0},
        }
    )


PROBLEMS = {
    "Burgers": Problem(
        burgers, {"viscosity": 0.1, "convection": 1.0}, {"viscosity": 5.0, "convection": 0.5}, burgers_states
    ),
    "Heat": Problem(
        lambda: coefficients.heat_model()[0],
        {"diffusivity": coefficients.DIFFUSIVITY},
        {"diffusivity": 5.0},
        lambda: coefficients.heat_data()[2],
    ),
    "Gray-Scott": Problem(
        lambda: coefficients.gray_scott_model()[0],
        coefficients.GRAY_SCOTT,
        {"diffusivity_u": 2.0, "diffusivity_v": 2.0, "feed": 0.5, "kill": 0.5},
        lambda: coefficients.gray_scott_data()[2],
    ),
    "Fisher-KPP": Problem(fisher, {"D": 0.1, "r": 1.0}, {"D": 5.0, "r": 0.5}, fisher_states),
}


def measured(problem: Problem, draw: int) -> Observations:
    """All states with noise, the first one too."""
    states, equation = torch.from_numpy(problem.states())[None], problem.equation()
    noise = NOISE * states.std(dim=(0, 1, 3), correction=0)
    seen = states + noise[:, None] * torch.randn(states.shape, generator=stream(draw, "noise"), dtype=torch.float64)
    return Observations(
        values=seen,
        mask=torch.ones_like(seen, dtype=torch.bool),
        initial_states=seen[:, 0],
        noise_std=noise,
        train=[0],
        val=[],
        layout=equation.layout,
        dt=equation.dt,
        initial_state="full",
    )


def guessed(problem: Problem, observations: Observations) -> dict[str, float]:
    """What the weak form alone finds."""
    section = {"learnable_parameters": problem.learn, "method": "Levenberg-Marquardt"}
    steps, device = observations.values.shape[1] - 1, torch.device("cpu")
    physical = PhysicalConfig.model_validate(section)
    inverse = Calibrator(problem.equation(), observations, physical, num_predict_steps=steps, device=device).problem
    found = inverse.forward.values(weak_form_guess(inverse, inverse.box.start)[: inverse.parameter_count])
    return {name: float(value) for name, value in found.items()}


def draw_line(name: str, draw: int) -> Line:
    """One draw of the noise: distances of the guess and errors of the estimate, relative, and processor times."""
    problem = PROBLEMS[name]
    observations = measured(problem, draw)
    begin = time.process_time()
    physics = hyco.fit(
        problem.equation(), observations, problem.learn, method="Levenberg-Marquardt", first_guess="weak_form"
    )
    best = {key: physics.estimate[key].value for key in problem.true}
    seconds = time.process_time() - begin
    guess = guessed(problem, observations)
    return {
        "problem": name,
        "draw": draw,
        "distances": {key: guess[key] / best[key] - 1 for key in best},
        "errors": {key: best[key] / true - 1 for key, true in problem.true.items()},
        "seconds": seconds,
    }


def table(lines: list[Line]) -> str:
    """A row for each problem."""
    rows = [
        "| problem | first guess / true | distance of the weak form's | draws | errors of the estimate "
        "| time [CPU s] | first draw |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, problem in PROBLEMS.items():
        own = sorted((line for line in lines if line["problem"] == name), key=lambda line: line["draw"])
        if not own:
            continue
        off = ", ".join(f"{key} {value:g}" for key, value in problem.off.items())
        far = ", ".join(f"{key} {max(abs(line['distances'][key]) for line in own):.2%}" for key in problem.true)
        errors = ", ".join(
            f"{key} {math.sqrt(statistics.fmean(line['errors'][key] ** 2 for line in own)):.2%}" for key in problem.true
        )
        times = statistics.median(line["seconds"] for line in own[1:] or own), own[0]["seconds"]
        rows.append(f"| {name} | {off} | {far} | {len(own)} | {errors} | {times[0]:.2f} | {times[1]:.2f} |")
    return "\n".join(rows)


def main() -> None:
    """Run draws, and write the page of those that were run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="problems whose name begins so")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--results", type=Path, required=True, help="file that a line is appended to per draw")
    parser.add_argument("--write", type=Path, help="write the page of the study")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    lines = read_lines([arguments.results])
    done = {(line["problem"], line["draw"]) for line in lines}
    for name in PROBLEMS:
        if not name.startswith(arguments.only or ""):
            continue
        for draw in range(arguments.draws):
            if (name, draw) not in done:
                lines.append(draw_line(name, draw))
                add_line(arguments.results, lines[-1])
    print(table(lines))
    if arguments.write:
        command = "python benchmarks/first_guess.py --results lines.jsonl --write docs/studies/first_guess.md"
        title = "The first guess by the weak form"
        write_page(arguments.write, title, described(__doc__), [command], table(lines))


if __name__ == "__main__":
    main()

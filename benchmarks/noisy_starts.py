"""Rollouts that begin with a noisy state: as measured, and with the estimate that validation and tests begin with.

    python benchmarks/noisy_starts.py                       # states measured in every cell
    python benchmarks/noisy_starts.py --samples             # in some places, with noise of known size

The truth is SciPy's LSODA on central differences written here, six trajectories of each problem, two of them for
training; the model is a formula with the true coefficients. Noise is a part of the standard deviation of all states.
*start* is the root mean square error of the state at t = 0 over σ, *rollout* the relative error of all later states,
both of the four trajectories that are not for training, means over three draws of the noise (and of the places). *As
measured* are states within the bounds of their field, filled between where they were not measured.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

import hyco
from hyco.observations import ObservationConfig, observe

Array = NDArray[np.float64]
NOISE, SEEDS = (0.01, 0.02, 0.05), range(3)
HEATED = "D*laplace(u)"
GROWING = "D*laplace(u) + r*u*(1 - u)"
RANDOM = np.random.default_rng(1).normal(size=(6, 64))


@dataclass(frozen=True)
class Problem:
    """A PDE on cells.

    Attributes:
        rates, parameters: the formula.
        domain: size and cells, by axis.
        dt, steps: of the states.
        start: of trajectory k, from the centres of cells along each axis.
        convection: whether u ∂u/∂x is subtracted (periodic); else ends have no slope.
        growth: r of r u (1 - u).
        lower: of the field.
        samples: places of `--samples`; None: not for them.
    """

    rates: str
    parameters: dict[str, float]
    domain: dict[str, tuple[float, int]]
    dt: float
    steps: int
    start: Callable[..., Array]
    convection: bool = False
    growth: float = 0.0
    lower: float | None = None
    samples: int | None = None
    spacing: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Widths of cells."""
        object.__setattr__(self, "spacing", tuple(size / n for size, n in self.domain.values()))

    def rate(self, u: Array) -> Array:
        """∂u/∂t by central differences of second order."""
        total = self.growth * u * (1 - u)
        for axis, h in enumerate(self.spacing):
            wide = np.pad(u, [(int(a == axis),) * 2 for a in range(u.ndim)], mode="wrap" if self.convection else "edge")
            lower, upper = (np.take(wide, range(at, at + u.shape[axis]), axis) for at in (0, 2))
            total = total + self.parameters["D"] * (lower - 2 * u + upper) / h**2
            if self.convection:
                total = total - (upper**2 - lower**2) / (4 * h)
        return total

    def truth(self, k: int) -> Array:
        """The states of trajectory k, `[T+1, *space]`."""
        places = [(np.arange(n) + 0.5) * size / n for size, n in self.domain.values()]
        start = self.start(k, *np.meshgrid(*places, indexing="ij"))

        def rate(_: float, flat: Array) -> Array:
            return self.rate(flat.reshape(start.shape)).ravel()

        times = self.dt * np.arange(self.steps + 1)
        found = solve_ivp(rate, times[[0, -1]], start.ravel(), "LSODA", times, rtol=1e-8, atol=1e-10)
        return found.y.T.reshape(len(times), *start.shape)

    def equation(self) -> Any:
        """The formula."""
        section = {
            "name": "formula",
            "rates": {"u": self.rates},
            "parameters": self.parameters,
            "fields": {"u": {} if self.lower is None else {"lower": self.lower}},
            "domain": {axis: {"size": size, "resolution": n} for axis, (size, n) in self.domain.items()},
            "boundary": "periodic" if self.convection else "neumann",
            "dt": self.dt,
        }
        return hyco.equation(section)


def fronts(k: int, x: Array) -> Array:
    """A front and, every second time, a hump, beside nothing."""
    return 0.8 * np.exp(-(((x - 6 - k % 4) / 1.5) ** 2)) if k % 2 else 1 / (1 + np.exp((x - 4 - k % 3) / 0.8)) ** 2


def hump(k: int, x: Array, y: Array) -> Array:
    """One in two dimensions."""
    return 0.9 * np.exp(-(((x - 5 - k) / 2) ** 2) - ((y - 3) / 1.5) ** 2)


def waves(k: int, x: Array) -> Array:
    """Two without slope at the ends."""
    return np.cos(np.pi * x * (1 + k % 3)) + 0.3 * np.cos(5 * np.pi * x) * (k % 2)


PROBLEMS = {
    "Fisher-KPP": Problem(
        GROWING, {"D": 0.5, "r": 1.0}, {"x": (20.0, 64)}, 0.3, 20, fronts, growth=1.0, lower=0.0, samples=24
    ),
    "Fisher-KPP 2-D": Problem(
        GROWING,
        {"D": 0.5, "r": 1.0},
        {"x": (20.0, 40), "y": (8.0, 16)},
        0.3,
        15,
        hump,
        growth=1.0,
        lower=0.0,
        samples=160,
    ),
    "diffusion": Problem(HEATED, {"D": 0.02}, {"x": (1.0, 64)}, 0.1, 20, waves, samples=24),
    "Burgers": Problem(
        f"{HEATED} - u*dx(u)",
        {"D": 0.05},
        {"x": (2 * np.pi, 128)},
        0.05,
        30,
        lambda k, x: np.sin(x + k) + 0.5 * np.sin(2 * x - k),
        convection=True,
        samples=40,
    ),
    "front of one cell": Problem(
        HEATED,
        {"D": 0.002},
        {"x": (1.0, 64)},
        0.1,
        20,
        lambda k, x: np.where(x < (20 + 5 * k) / 64, 1.0, 0.0),
        lower=0.0,
    ),
    "white": Problem(HEATED, {"D": 0.002}, {"x": (1.0, 64)}, 0.01, 20, lambda k, _: RANDOM[k]),
}


def errors(problem: Problem, states: Tensor, part: float, seed: int, *, samples: bool) -> list[tuple[float, float]]:
    """Errors of start and rollout, as measured and estimated."""
    equation = problem.equation()
    seen: dict[str, Any] = {"train_sim": [0, 1], "val_sim": [2, 3], "test_sim": [4, 5], "noise": part}
    if samples:
        seen |= {
            "space": {"mode": "samples", "count": problem.samples * (problem.steps + 1)},
            "initial_state": "observed",
        }
    else:
        seen |= {"space": {"mode": "full"}, "initial_state": "full"}
    data, truth, found = hyco.Trajectories(states, equation), states[2:], []
    raw = observe(data.to_bundle(), ObservationConfig.model_validate(seen), seed)
    for each in (raw, hyco.observe(data, seen, seed=seed)):
        starts = equation.admissible(torch.cat([each.initial_states[2:], each.test_initial_states]))
        later = hyco.simulate(equation, initial_states=starts, steps=problem.steps).states[:, 1:]
        start = float((starts - truth[:, 0]).square().mean().sqrt() / raw.noise_std[0])
        found.append((start, float((later - truth[:, 1:]).norm() / truth[:, 1:].norm())))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", action="store_true", help="measured in some places")
    samples: bool = parser.parse_args().samples
    torch.set_num_threads(1)
    print("| problem | noise | start, as measured | estimated | rollout, as measured | estimated |")
    print("|---|---|---|---|---|---|")
    for name, problem in PROBLEMS.items():
        if samples and problem.samples is None:
            continue
        states = torch.from_numpy(np.stack([problem.truth(k) for k in range(6)]))[:, :, None]
        for part in NOISE:
            draws = [errors(problem, states, part, seed, samples=samples) for seed in SEEDS]
            cells = [statistics.fmean(draw[way][kind] for draw in draws) for kind in (0, 1) for way in (0, 1)]
            print(
                f"| {name} | {part:.0%} | {cells[0]:.2f} | {cells[1]:.2f} | {cells[2]:.4f} | {cells[3]:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Heat with a diffusivity of two unknown bumps, measured by sensors that move (benchmark B3).

    ∂u/∂t = a Δu  on [-3, 3]²,  u = 0 on the boundary,  t in [0, 1]
    a = min(2.5, 0.1 + Σ A_i exp(-|x - c_i|²)),  u(x, 0) = exp(-|x - (1,1)|²) - exp(-|x + (1,1)|²)

with A = (3, 2.5), c = (1, 1) and (-2, -2); the first guess is A = (1, 1), c = (1.4, -1.3) and (-1.8, -1.1). A second
truth, A = (2, 2.8), c = (1.3, 0.4) and (-1.6, -2.1), is not symmetric in x and y, so that swapped axes show.

60 of the 10×10 points of a regular grid on a square, its edges included, are the sensors' starts: the square is
[-3, 3]² (full), [-1.5, 3]² (half) or [0, 3]² (quarter). A sensor moves along p(t) = c + exp(-0.1 t) R(t) (p(0) - c), c
being the square's centre and R(t) the rotation by the angle t, anticlockwise; while it is outside the domain it
measures nothing. It measures at t = 0.01, 0.02, …, 1; the initial state is known.

Amplitudes are known to lie between 0.1 and 10, centres in the domain. The two bumps may change their names: errors are
those of the order that is nearer to the truth.

The truth does not come from hyco: 100×100 nodes, those on the boundary included, central differences of second order,
explicit Euler steps of 1e-4, all in numpy, read between the nodes by bicubic splines.

The error of the numbers is ‖dA‖/‖A*‖ + ‖dc‖/‖c*‖. That of the solution is its relative L2 error on the nodes and times
of the truth, where the model's cells are read as hyco reads them at sensors: by cubic or bilinear interpolation.

Source: the heat example of arXiv 2509.14123.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.interpolate import RectBivariateSpline
from torch import Tensor

from hyco.fields import Layout
from hyco.observations import Observations
from hyco.observations.interpolation import Method, stencil

Numbers = tuple[float, float, float, float, float, float]

NAMES = ("amplitude_1", "center_x_1", "center_y_1", "amplitude_2", "center_x_2", "center_y_2")
TRUTHS: dict[str, Numbers] = {
    "published": (3.0, 1.0, 1.0, 2.5, -2.0, -2.0),
    "asymmetric": (2.0, 1.3, 0.4, 2.8, -1.6, -2.1),
}
START: Numbers = (1.0, 1.4, -1.3, 1.0, -1.8, -1.1)
OFFSET, LARGEST = 0.1, 2.5
AMPLITUDES = [0.1, 10.0]
SQUARES = {"full": -3.0, "half": -1.5, "quarter": 0.0}
SENSORS, STATES, NODES = 60, 100, 100


def diffusivity(x: Any, y: Any, numbers: Numbers) -> Any:
    """The diffusivity at positions."""
    total = OFFSET
    for amplitude, cx, cy in (numbers[:3], numbers[3:]):
        total = total + amplitude * np.exp(-((x - cx) ** 2) - (y - cy) ** 2)
    return np.minimum(total, LARGEST)


def initial_state(x: Any, y: Any) -> Any:
    """The state at t = 0, in the interior."""
    return np.exp(-((x - 1) ** 2) - (y - 1) ** 2) - np.exp(-((x + 1) ** 2) - (y + 1) ** 2)


@dataclass(frozen=True)
class Truth:
    """States on nodes.

    Attributes:
        nodes: coordinates along either axis, `[n]`.
        states: at t = 0, 0.01, …, 1, `[101, n, n]`.
    """

    nodes: np.ndarray
    states: np.ndarray

    def read(self, state: int, positions: np.ndarray) -> np.ndarray:
        """One state at positions `[P, 2]`, by bicubic splines."""
        found: np.ndarray = self._splines(state)(positions[:, 0], positions[:, 1], grid=False)
        return found

    @cache  # noqa: B019 (truths live as long as the program)
    def _splines(self, state: int) -> RectBivariateSpline:
        return RectBivariateSpline(self.nodes, self.nodes, self.states[state])

    def __hash__(self) -> int:
        return id(self)


@cache
def truth(name: str = "published", nodes: int = NODES, dt: float = 1e-4) -> Truth:
    """The states of a truth: explicit Euler steps on nodes."""
    x = np.linspace(-3.0, 3.0, nodes)
    X, Y = np.meshgrid(x, x, indexing="ij")
    u = initial_state(X, Y)
    u[[0, -1]] = u[:, [0, -1]] = 0.0
    factor = (dt / (x[1] - x[0]) ** 2 * diffusivity(X, Y, TRUTHS[name]))[1:-1, 1:-1]
    steps = round(1 / (STATES * dt))
    states = [u.copy()]
    for _ in range(STATES):
        for _ in range(steps):
            centre = u[1:-1, 1:-1]
            around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
            u[1:-1, 1:-1] = centre + factor * (around - 4 * centre)
        states.append(u.copy())
    return Truth(x, np.stack(states))


def equation(cells: int, name: str = "published", differences: int = 4) -> dict[str, Any]:
    """The `equation` section: so many cells along each axis, walls at the faces of the outermost ones.

    Args:
        differences: the order of the differences in space.
    """
    A1, x1, y1, A2, x2, y2 = TRUTHS[name]
    bumps = f"{A1} * exp(-(x - {x1})**2 - (y - {y1})**2) + {A2} * exp(-(x - {x2})**2 - (y - {y2})**2)"
    axis = {"lower": -3.0, "size": 6.0, "resolution": cells}
    return {
        "name": "heat",
        "domain": {"x": axis, "y": axis},
        "boundary": 0.0,
        "dt": 1 / STATES,
        "form": "nondivergence",
        "order": differences,
        "max_diffusivity": LARGEST,
        "parameters": {"diffusivity": f"min({LARGEST}, {OFFSET} + {bumps})"},
    }


def learnable() -> list[dict[str, Any]]:
    """The list `physical.learnable_parameters`: a formula of six unknown numbers, amplitudes by their logarithm."""
    bumps = [f"amplitude_{i} * exp(-(x - center_x_{i})**2 - (y - center_y_{i})**2)" for i in (1, 2)]
    scalars = [
        {"name": n, "initial_guess": v, "bounds": AMPLITUDES if n.startswith("amplitude") else [-3.0, 3.0]}
        for n, v in zip(NAMES, START, strict=True)
    ]
    formula = f"min({LARGEST}, {OFFSET} + {' + '.join(bumps)})"
    return [{"name": "diffusivity", "kind": "expression", "expression": formula, "scalars": scalars}]


def paths(region: str, seed: int) -> np.ndarray:
    """Positions of the sensors at the times of all states, `[101, 60, 2]`."""
    line = np.linspace(SQUARES[region], 3.0, 10)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    starts = grid[np.random.default_rng(seed).permutation(len(grid))[:SENSORS]]
    centre = np.full(2, (SQUARES[region] + 3.0) / 2)
    found = []
    for t in np.arange(STATES + 1) / STATES:
        rotation = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
        found.append(centre + math.exp(-0.1 * t) * (starts - centre) @ rotation.T)
    return np.stack(found)


def observations(
    region: str, seed: int, noise: float, layout: Layout, name: str = "published", method: Method = "cubic"
) -> Observations:
    """What the sensors of one draw measured.

    Args:
        seed: of the choice of the sensors, and of the noise.
        noise: its standard deviation, over that of all values measured without noise.
        layout: of the model.
        method: how the model is read at sensors.
    """
    solution = truth(name)
    places = paths(region, seed)
    inside = (np.abs(places) <= 3.0).all(axis=-1)
    inside[0] = False
    values = np.zeros(places.shape[:2])
    for i in range(1, STATES + 1):
        values[i, inside[i]] = solution.read(i, places[i, inside[i]])
    std = noise * float(values[inside].std())
    values = np.where(inside, values + std * np.random.default_rng([seed, 1]).standard_normal(values.shape), 0.0)
    x, y = (layout.grid.centers(axis) for axis in "xy")
    start = initial_state(*np.meshgrid(x, y, indexing="ij"))
    return Observations(
        values=torch.from_numpy(values)[None, :, None],
        mask=torch.from_numpy(inside)[None, :, None],
        initial_states=torch.from_numpy(start)[None, None],
        noise_std=torch.tensor([std], dtype=torch.float64),
        train=[0],
        val=[],
        layout=layout,
        dt=1 / STATES,
        positions=torch.from_numpy(np.clip(places, -3.0, 3.0))[None],
        interpolation=method,
    )


def parameter_error(numbers: Numbers, name: str = "published") -> float:
    """‖dA‖/‖A*‖ + ‖dc‖/‖c*‖, of the better order of the bumps."""
    return min(_error(order(numbers, swap), name) for swap in (False, True))


def order(values: Sequence[Any], swap: bool) -> tuple[Any, ...]:
    """What belongs to the six numbers, with the bumps as they are or swapped."""
    return (*values[3:], *values[:3]) if swap else tuple(values)


def swapped(numbers: Numbers, name: str = "published") -> bool:
    """Whether the first bump is the second of the truth."""
    return _error(order(numbers, True), name) < _error(numbers, name)


def _error(numbers: Sequence[float], name: str) -> float:
    true, found = np.array(TRUTHS[name]), np.array(numbers)
    amplitudes, centres = [0, 3], [1, 2, 4, 5]
    return float(
        sum(np.linalg.norm(found[part] - true[part]) / np.linalg.norm(true[part]) for part in (amplitudes, centres))
    )


def solution_error(states: Tensor, layout: Layout, name: str = "published", method: Method = "cubic") -> float:
    """The relative L2 error of states at t = 0.01, …, 1, `[100, *space]`, on the nodes of the truth."""
    solution = truth(name)
    x = torch.from_numpy(solution.nodes)
    at = stencil(layout, torch.stack(torch.meshgrid(x, x, indexing="ij"), dim=-1), method)
    read = (states.flatten(1)[:, at.indices[..., 0, :]] * at.weights[..., 0, :]).sum(-1) + at.offset[..., 0]
    exact = torch.from_numpy(solution.states[1:])
    return float((read - exact).norm() / exact.norm())

"""The inverse problems of `inversions`: equations with coefficients to find, their true states and hyco's models."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

import raissi_burgers
from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from problems import raissi_burgers as burgers

Array = NDArray[np.float64]
# All points tell the viscosity so well that the error of 510 cells would be three times as large as that of the noise.
RAISSI_CELLS, RAISSI_CELLS_ALL = 510, 765
# Half widths of pysindy's subdomains, as parts of the domain: of whole states, and of fewer places or times.
DENSE, SPARSE = (20, 10, 5), (10, 5, 4)


@dataclass(frozen=True)
class Problem:
    """What is to be found.

    Attributes:
        equation: its name for the peers.
        true, guess, bounds: of each coefficient.
        data: places `[K]`, times `[T+1]` and the true states `[T+1, C, K]`.
        model: hyco's equation, and the cells that the places are.
        points: how many of the measurements there are, drawn anew in each draw; None: all.
        every: each of so many places, and of so many times, is measured.
        draws: of the noise.
        parts: of the domain that pysindy is given as half widths of its subdomains; none: it is not asked.
        pinn_draws: how many of the draws DeepXDE is given.
        limit: of its processor time, at least [s].
    """

    equation: str
    true: dict[str, float]
    guess: dict[str, float]
    bounds: dict[str, tuple[float, float]]
    data: Callable[[], tuple[Array, Array, Array]]
    model: Callable[[], tuple[Equation, Array]]
    points: int | None = None
    every: tuple[int, int] = (1, 1)
    draws: int = 10
    parts: tuple[int, ...] = DENSE
    pinn_draws: int = 0
    limit: float = 120.0


@cache
def burgers_data() -> tuple[Array, Array, Array]:
    """Raissi's points."""
    x, t = burgers.points()
    return x, t, burgers.truth(x[None], t[:, None])[:, None]


@cache
def burgers_model(cells: int = RAISSI_CELLS) -> tuple[Equation, Array]:
    """-1 and 1 are the same cell."""
    return raissi_burgers.equation(cells), np.arange(256) * (cells // 255) % cells


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
)
_HEAT: tuple[Any, ...] = (
    "heat",
    {"diffusivity": DIFFUSIVITY},
    {"diffusivity": 0.3},
    {"diffusivity": (0.005, 1.0)},
    heat_data,
    heat_model,
)
_GRAY_SCOTT: tuple[Any, ...] = (
    "gray_scott",
    GRAY_SCOTT,
    {"diffusivity_u": 0.1, "diffusivity_v": 0.16, "feed": 0.03, "kill": 0.03},
    {name: (0.2 * value, 4 * value) for name, value in GRAY_SCOTT.items()},
    gray_scott_data,
    gray_scott_model,
)
PROBLEMS = {
    "Burgers, 2000 points": Problem(*_RAISSI, burgers_model, points=2000, parts=(), pinn_draws=3),
    "Burgers, all points": Problem(*_RAISSI, partial(burgers_model, RAISSI_CELLS_ALL), draws=3),
    "Heat": Problem(*_HEAT, draws=8, pinn_draws=3, limit=30.0),
    "Heat, 16 places": Problem(*_HEAT, every=(4, 1), parts=SPARSE, draws=3),
    "Heat, 10 times": Problem(*_HEAT, every=(1, 4), parts=SPARSE, draws=3),
    "Heat, 16 places, 10 times": Problem(*_HEAT, every=(4, 4), parts=SPARSE, draws=3),
    "Gray-Scott": Problem(*_GRAY_SCOTT, pinn_draws=3),
    "Gray-Scott, 32 places, 10 times": Problem(*_GRAY_SCOTT, every=(4, 4), parts=SPARSE, draws=1),
}

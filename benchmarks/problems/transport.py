"""Advection and diffusion on a ring with one more rate, by Fourier series that SciPy integrates: no solver of hyco."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

Numbers = NDArray[np.float64]

SIZE, CELLS, FINE = 6.0, 48, 144
DIFFUSIVITY, SPEED = 0.05, 0.5
# What is added to the rate, by the missing term that it is.
RATES: dict[str, Callable[[Numbers], Numbers]] = {
    "nothing": np.zeros_like,
    "drag": lambda u: -0.1 * u,
    "constant force": lambda u: np.full_like(u, 0.2),
    "reaction": lambda u: 0.4 * u * (1 - u**2),
}


def states(missing: str, simulations: int, steps: int, dt: float, seed: int) -> Numbers:
    """Values in the centres of the cells, `[simulations, steps + 1, 1, cells]`, to a relative 1e-9.

    Each simulation begins with six waves of random amplitudes and phases, and a mean. The values are those of a grid
    three times as fine, in which each centre of a cell is one, too.
    """
    random, rate = np.random.default_rng(seed), RATES[missing]
    k = 2 * np.pi * np.fft.rfftfreq(FINE, SIZE / FINE)
    x = (np.arange(FINE) + 0.5) * SIZE / FINE
    decay = -DIFFUSIVITY * k**2 - 1j * SPEED * k

    def change(_: float, spectrum: NDArray[np.complex128]) -> NDArray[np.complex128]:
        return decay * spectrum + np.fft.rfft(rate(np.fft.irfft(spectrum, FINE)))

    made = []
    for _ in range(simulations):
        waves = [(random.normal() * np.exp(-0.12 * w**2), w, random.uniform(0, 2 * np.pi)) for w in k[1:7]]
        start = 0.3 * random.normal() + sum(a * np.sin(w * x + phase) for a, w, phase in waves)
        times = dt * np.arange(steps + 1)
        found = solve_ivp(change, (0, times[-1]), np.fft.rfft(start), t_eval=times, rtol=1e-9, atol=1e-9)
        made.append(np.fft.irfft(found.y.T, FINE)[:, 1::3])
    return np.stack(made)[:, :, None]

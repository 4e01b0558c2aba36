"""hyco's schemes written plainly, for `work_precision_peer.py` to run as jitted JAX.

Each makes the functions of a rollout of `[B, C, *space]` on a periodic box: `forward` of a state to what a step takes,
`step`, and `backward`. States stay coefficients between steps; the transforms are fast ones of real fields. `xp` is
`jax.numpy`; NumPy does, too, by which the tests see that the states are hyco's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Numbers = dict[str, Any]
Functions = tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any]]
# Terms of a series, and up to which |z| it is taken.
TERMS, SERIES = 13, 0.5


def burgers(xp: Any, cells: int, size: float, time: float, numbers: Numbers) -> Functions:
    """u_t + λ u u_x = ν u_xx: ETDRK4 of Krogstad (J. Comput. Phys. 203 (2005) 72), the 2/3 rule."""
    k = 2 * math.pi * np.fft.rfftfreq(cells, size / cells)
    kept = (k * size / cells < 2 / 3 * math.pi * (1 - 1e-12)) * 1.0
    weight = -0.5j * k * kept * numbers["convection"]
    z = -numbers["viscosity"] * k**2 * time
    half, whole = xp.exp(z / 2), xp.exp(z)
    one, two, _ = (time / 2 * phi for phi in phis(xp, z / 2))
    by_one, by_two, by_three = (time * phi for phi in phis(xp, z))

    def rate(state: Any) -> Any:
        return weight * xp.fft.rfft(xp.fft.irfft(state, cells) ** 2)

    def step(state: Any) -> Any:
        first = rate(state)
        second = rate(half * state + one * first)
        third = rate(half * state + (one - 2 * two) * first + 2 * two * second)
        fourth = rate(whole * state + (by_one - 2 * by_two) * first + 2 * by_two * third)
        ends = (by_one - 3 * by_two + 4 * by_three) * first + (4 * by_three - by_two) * fourth
        return whole * state + ends + (2 * by_two - 4 * by_three) * (second + third)

    return lambda states: kept * xp.fft.rfft(states), step, lambda state: xp.fft.irfft(state, cells)


def heat(xp: Any, cells: int, size: float, time: float, numbers: Numbers) -> Functions:
    """u_t = a u_xx: each wave decays."""
    k = 2 * math.pi * np.fft.rfftfreq(cells, size / cells)
    factor = xp.exp(-numbers["diffusivity"] * k**2 * time)
    return xp.fft.rfft, lambda state: factor * state, lambda state: xp.fft.irfft(state, cells)


def gray_scott(xp: Any, cells: int, size: float, time: float, numbers: Numbers) -> Functions:
    """Two substances in a square: four stages of Runge and Kutta on exp(-Λt) (1 - u, v), which the reaction changes."""
    along = 2 * math.pi * np.fft.fftfreq(cells, size / cells)
    across = 2 * math.pi * np.fft.rfftfreq(cells, size / cells)
    squared = along[:, None] ** 2 + across**2
    rates = xp.stack(
        [
            numbers["diffusivity_u"] * squared + numbers["feed"],
            numbers["diffusivity_v"] * squared + numbers["feed"] + numbers["kill"],
        ]
    )
    half, whole = xp.exp(-rates * time / 2), xp.exp(-rates * time)

    def values(state: Any) -> Any:
        return xp.fft.irfft2(state, (cells, cells))

    def change(state: Any) -> Any:
        both = values(state)
        reaction = (1 - both[:, :1]) * xp.minimum(both[:, 1:] ** 2, 2.0 / time)
        return time * xp.fft.rfft2(reaction)

    def step(begun: Any) -> Any:
        moved = half * begun
        first = half * change(begun)
        second = change(moved + first / 2)
        third = change(moved + second / 2)
        fourth = change(half * (moved + third))
        return whole * begun + (half * (first + 2 * (second + third)) + fourth) / 6

    def turned(states: Any) -> Any:
        return xp.concatenate([1 - states[:, :1], states[:, 1:]], axis=1)

    return lambda states: xp.fft.rfft2(turned(states)), step, lambda state: turned(values(state))


def phis(xp: Any, z: Any) -> tuple[Any, Any, Any]:
    """(e^z - 1)/z, (φ₁ - 1)/z and (φ₂ - 1/2)/z, from their series where z is small."""
    near = xp.abs(z) < SERIES
    small, away = xp.where(near, z, 0.0), xp.where(near, 1.0, z)
    found = [(xp.exp(away) - 1) / away]
    found.append((found[0] - 1) / away)
    found.append((found[1] - 0.5) / away)
    series = [sum(small**n / math.factorial(n + k) for n in range(TERMS)) for k in (1, 2, 3)]
    one, two, three = (xp.where(near, own, other) for own, other in zip(series, found, strict=True))
    return one, two, three


SCHEMES = {"burgers": burgers, "heat": heat, "gray_scott": gray_scott}

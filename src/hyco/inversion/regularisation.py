"""The weight of a regularisation: by the discrepancy principle, or at the corner of the L-curve.

Sources: V. A. Morozov, Soviet Math. Dokl. 7 (1966) 414 (discrepancy principle); P. C. Hansen and D. P. O'Leary, SIAM J.
Sci. Comput. 14 (1993) 1487, doi:10.1137/0914086 (L-curve, its corner the point of largest curvature).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Fit:
    """The solution for one weight.

    Attributes:
        weight: of the penalty.
        z: coordinates `[p]`.
        misfit: mean of the squared whitened residuals: 1 where the fit is as good as the noise allows.
        penalty: the regularisation, without its weight.
    """

    weight: float
    z: Tensor
    misfit: float
    penalty: float


Solve = Callable[[float, Tensor], Fit]


def discrepancy_principle(
    solve: Solve, start: Tensor, *, residuals: int, first: float = 1e4, last: float = 1e-10, factor: float = 10.0
) -> tuple[Fit, list[Fit]]:
    """The largest weight that fits the data to the noise: misfit ≤ 1 + √(2/residuals), one standard deviation of it.

    The weight falls by `factor` from fit to fit (or rises, where the first one fits already), each started from the
    last; the last interval is then halved three times on the logarithmic axis. If no weight fits, the best fit is
    returned; if all do, the largest.

    Args:
        solve: weight and start to the solution.
        start: of the first fit, `[p]`, or several `[K, p]` where `solve` takes them.
        residuals: how many there are.
    """
    target = 1 + math.sqrt(2 / residuals)
    fits = [solve(first, start)]
    falling = fits[0].misfit > target
    weight = first
    while last < weight < first**2 / last and (fits[-1].misfit > target) == falling:
        # Nothing is gained any more: the misfit is not the penalty's.
        stalled = len(fits) > 3 and fits[-4].misfit - fits[-1].misfit < 1e-3 * fits[-1].misfit
        if falling and stalled and fits[-1].misfit < 0.5 * fits[0].misfit:
            break
        weight = weight / factor if falling else weight * factor
        fits.append(solve(weight, fits[-1].z))
    if (fits[-1].misfit > target) == falling:
        return (min(fits, key=lambda f: f.misfit) if falling else fits[-1]), fits
    low, high = (fits[-1], fits[-2]) if falling else (fits[-2], fits[-1])
    for _ in range(3):
        middle = solve(math.sqrt(low.weight * high.weight), low.z)
        fits.append(middle)
        if middle.misfit <= target:
            low = middle
        else:
            high = middle
    return low, fits


def l_curve(
    solve: Solve, start: Tensor, *, first: float = 1e4, last: float = 1e-8, count: int = 13
) -> tuple[Fit, list[Fit]]:
    """The weight at the corner of (log misfit, log penalty): the point of largest curvature.

    Args:
        solve: weight and start to the solution; each is started from the last.
        start: of the first fit, `[p]`, or several `[K, p]` where `solve` takes them.
    """
    fits: list[Fit] = []
    z = start
    for weight in np.geomspace(first, last, count):
        fits.append(solve(float(weight), z))
        z = fits[-1].z
    x = np.log([max(f.misfit, 1e-300) for f in fits])
    y = np.log([max(f.penalty, 1e-300) for f in fits])
    t = np.log([f.weight for f in fits])
    dx, dy = np.gradient(x, t), np.gradient(y, t)
    ddx, ddy = np.gradient(dx, t), np.gradient(dy, t)
    curvature = (dx * ddy - ddx * dy) / np.maximum((dx**2 + dy**2) ** 1.5, 1e-12)
    # Positive where the curve turns from steep to flat; the ends have one-sided differences.
    corner = int(np.argmax(curvature[1:-1])) + 1
    return fits[corner], fits

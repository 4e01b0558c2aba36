"""The exact solution of the Burgers problem of Raissi, Perdikaris and Karniadakis, by the Cole-Hopf transformation.

    ∂u/∂t + u ∂u/∂x = ν ∂²u/∂x²  on [-1, 1],  u(x, 0) = -sin πx,  u(±1, t) = 0,  ν = 0.01/π

With f(y) = exp(-cos(πy) / 2πν) the solution is

    u(x, t) = -∫ sin π(x - η) f(x - η) exp(-η²/4νt) dη / ∫ f(x - η) exp(-η²/4νt) dη,

and both integrals are Gauss-Hermite sums in z = η / √(4νt). The equation with a coefficient λ before the convection is
the same up to scale: λu solves it with λ = 1, but starts λ times larger.

Sources: M. Raissi, P. Perdikaris and G. E. Karniadakis, J. Comput. Phys. 378 (2019) 686,
doi:10.1016/j.jcp.2018.10.045; C. Basdevant et al., Comput. Fluids 14 (1986) 23, doi:10.1016/0045-7930(86)90036-8.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

VISCOSITY = 0.01 / math.pi


@cache
def _nodes(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes of the Gauss-Hermite rule, and the logarithms of its weights; those that underflow are left out."""
    z, weights = np.polynomial.hermite.hermgauss(count)
    kept = weights > 0
    return z[kept], np.log(weights[kept])


def truth(x: ArrayLike, t: ArrayLike, viscosity: float = VISCOSITY, nodes: int = 200) -> NDArray[np.float64]:
    """The exact solution, accurate to about 1e-13 for t ≤ 1 and viscosities about 0.01/π.

    Args:
        x: positions in [-1, 1] (the solution is periodic and odd beyond).
        t: times ≥ 0; x and t follow the rules of broadcasting.
        viscosity: ν, the coefficient of ∂²u/∂x².
        nodes: of the quadrature.
    """
    x, t = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(t, dtype=np.float64))
    z, weights = _nodes(nodes)
    y = x[..., None] - np.sqrt(4 * viscosity * t)[..., None] * z
    # The exponents reach ± 1/2πν, about 50: taken relative to the largest they cannot overflow.
    exponent = weights - np.cos(math.pi * y) / (2 * math.pi * viscosity)
    mass = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
    return np.asarray(-(np.sin(math.pi * y) * mass).sum(axis=-1) / mass.sum(axis=-1))


def points() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 256 positions and 100 times of the published data set: x in [-1, 1], t from 0 to 0.99."""
    return np.linspace(-1.0, 1.0, 256), np.linspace(0.0, 0.99, 100)

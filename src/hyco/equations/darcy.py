"""Steady flow through a porous medium: a static problem."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, ClassVar, Literal

from pydantic import Field

from hyco.equations.coefficients import Coefficients
from hyco.equations.elliptic import Elliptic, StaticConfig
from hyco.equations.equation import EquationConfig, FieldValue

_SMALLEST = 1e-12


class DarcyParameters(Coefficients):
    """The coefficients of Darcy flow; each may be a formula of the position."""

    permeability: FieldValue = Field(description="permeability over viscosity κ > 0 [length²/(pressure time)]")
    source: FieldValue = Field(default=1.0, description="fluid injected f [1/time]")


class DarcyConfig(StaticConfig):
    """Keys of the `equation` section for `name: darcy`."""

    name: Literal["darcy"] = "darcy"
    parameters: DarcyParameters = Field(description="true coefficients")

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """With κ > 0 the solution is unique and depends smoothly on κ."""
        return {"permeability": (_SMALLEST, inf), "source": (-inf, inf)}


class Darcy(Elliptic):
    """-∇·(κ∇p) = f, p = 0 on the boundary: the pressure p of a fluid in a porous medium, which flows with -κ∇p.

    The pressure is highest where the fluid cannot get out: far from the boundary, and where κ is small. κ appears in
    p through an average: details of κ finer than its distance to the boundary leave hardly a trace, so that they
    cannot be estimated from noisy values of p without a prior.

    Scheme, order, walls and what `nodes` and `face_average` mean: see `Elliptic`; second order.

    Source: H. Darcy, Les fontaines publiques de la ville de Dijon (1856); as an inverse problem: A. M. Stuart,
    Acta Numerica 19 (2010) 451, doi:10.1017/S0962492910000061.

    Args:
        config: grid, κ [length²/(pressure time)], f [1/time, default 1] and boundary (default 0). Values that work
            well: κ of about 1, 20 to 200 cells per axis.
    """

    config_class: ClassVar[type[EquationConfig]] = DarcyConfig
    field_parameters = frozenset({"permeability", "source"})
    unknown = "pressure"

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX."""
        return (r"-\nabla \cdot (\kappa\,\nabla p) = f",)

    def coefficients(self, parameters: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """κ, no reaction, and f."""
        return parameters["permeability"], 0.0, parameters["source"]

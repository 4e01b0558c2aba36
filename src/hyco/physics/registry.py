"""Equations by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hyco.physics.equation import Equation, EquationConfig

EQUATIONS = {
    "advection": "hyco.physics.advection:Advection",
    "advection_diffusion": "hyco.physics.advection_diffusion:AdvectionDiffusion",
    "burgers": "hyco.physics.burgers:Burgers",
    "darcy": "hyco.physics.darcy:Darcy",
    "elliptic": "hyco.physics.elliptic:Elliptic",
    "gray_scott": "hyco.physics.gray_scott:GrayScott",
    "heat": "hyco.physics.heat:Heat",
    "inviscid_burgers": "hyco.physics.inviscid_burgers:InviscidBurgers",
    "navier_stokes": "hyco.physics.navier_stokes:NavierStokes",
    "smoke": "hyco.physics.smoke:Smoke",
}


def available() -> list[str]:
    """The names that `equation.name` may have."""
    return sorted(EQUATIONS)


def equation_class(name: str) -> type[Equation]:
    """The class of an equation.

    Raises:
        ValueError: there is no equation of this name; the message lists those that exist.
    """
    if name not in EQUATIONS:
        raise ValueError(f"unknown equation {name!r}; available: {', '.join(available())}")
    module, _, attribute = EQUATIONS[name].partition(":")
    found: type[Equation] = getattr(import_module(module), attribute)
    return found


def equation_config(data: dict[str, Any]) -> EquationConfig:
    """Validate the `equation` section with the model of the equation that it names."""
    return equation_class(str(data.get("name"))).config_class.model_validate(data)


def build_equation(config: EquationConfig | dict[str, Any]) -> Equation:
    """The equation that a configuration describes."""
    if isinstance(config, dict):
        config = equation_config(config)
    return equation_class(config.name)(config)  # type: ignore[call-arg]

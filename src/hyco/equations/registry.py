"""Equations by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from hyco.equations.equation import Equation, EquationConfig
from hyco.sections import merge

EQUATIONS = {
    "advection": "hyco.equations.advection:Advection",
    "advection_diffusion": "hyco.equations.advection_diffusion:AdvectionDiffusion",
    "burgers": "hyco.equations.burgers:Burgers",
    "darcy": "hyco.equations.darcy:Darcy",
    "elliptic": "hyco.equations.elliptic:Elliptic",
    "gray_scott": "hyco.equations.gray_scott:GrayScott",
    "heat": "hyco.equations.heat:Heat",
    "inviscid_burgers": "hyco.equations.inviscid_burgers:InviscidBurgers",
    "navier_stokes": "hyco.equations.navier_stokes:NavierStokes",
    "smoke": "hyco.equations.smoke:Smoke",
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


class OtherStatesError(ValueError):
    """A physical model whose states are not those of the data.

    Attributes:
        key: of the `physical` section, that is to be changed.
    """

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def model_equation(
    equation: Equation, overrides: Mapping[str, Any], resolution: Mapping[str, int] | None = None
) -> Equation:
    """The equation that a physical model believes in: that of the data with other keys, or on a coarser grid.

    Args:
        equation: that of the data; returned as it is if nothing differs.
        overrides: `physical.equation`, laid over the section `equation`; with another `name` it replaces all of it but
            `domain` and `dt`, which are the data's.
        resolution: `physical.resolution`, the cells along each axis.

    Raises:
        OtherStatesError: the states are others, or the grid does not fit into that of the data.
        ValueError, pydantic.ValidationError: the result is no equation.
    """
    config: EquationConfig = getattr(equation, "config")  # noqa: B009 (in subclasses)
    given = config.grid.resolution
    wanted = given if resolution is None else _cells(resolution, config)
    if not overrides and wanted == given:
        return equation
    for key in ("domain", "dt"):
        if key in overrides:
            instead = "; for a coarser grid set physical.resolution" if key == "domain" else ""
            raise OtherStatesError("equation", f"{key} is that of the data, and cannot be another{instead}")
    section = config.model_dump()
    if overrides.get("name", config.name) != config.name:
        section = {"domain": section["domain"], "dt": config.dt, **overrides}
    else:
        section = merge(section, overrides)
    for axis, cells in zip(config.domain, wanted, strict=True):
        section["domain"] = {**section["domain"], axis: {**section["domain"][axis], "resolution": cells}}
    own = build_equation(section)
    ours, theirs = own.layout, equation.layout
    if ours.channels != theirs.channels:
        text = f"its states have the channels {', '.join(ours.channels)}, the data {', '.join(theirs.channels)}"
        raise OtherStatesError("equation", text)
    centred = not any(f.staggered or f.vertex for layout in (ours, theirs) for f in layout.fields)
    if wanted != given and not centred:
        text = f"a coarser grid needs values at cell centres; {config.name} has them elsewhere: null"
        raise OtherStatesError("resolution", text)
    if not centred and [(f.staggered, f.vertex) for f in ours.fields] != [
        (f.staggered, f.vertex) for f in theirs.fields
    ]:
        raise OtherStatesError("equation", "its values stand elsewhere than those of the data")
    if not centred and not bool((ours.valid == theirs.valid).all()):
        raise OtherStatesError("equation", "with its boundary other faces have values than in the data")
    return own


def _cells(resolution: Mapping[str, int], config: EquationConfig) -> tuple[int, ...]:
    """The cells along each axis.

    Raises:
        OtherStatesError: an axis is missing, or its cells do not divide those of the data.
    """
    if set(resolution) != set(config.domain):
        text = f"needs one entry for each axis ({', '.join(config.domain)}), got {', '.join(resolution)}"
        raise OtherStatesError("resolution", text)
    for axis, domain in config.domain.items():
        n = domain.resolution
        if resolution[axis] < 4 or n % resolution[axis]:
            allowed = ", ".join(str(m) for m in range(4, n + 1) if n % m == 0)
            text = f"{resolution[axis]} cells along {axis} do not divide the data's {n}; allowed: {allowed}"
            raise OtherStatesError("resolution", text)
    return tuple(resolution[axis] for axis in config.domain)

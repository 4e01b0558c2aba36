"""Equations by name: those of this package, of installed ones, and classes of a file anywhere on Python's path."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from hyco.equations.equation import Equation, EquationConfig
from hyco.runtime.plugins import PluginError, Registry, in_one_line, takes
from hyco.sections import merge


def _why_unusable(equation: type[Equation]) -> str | None:
    """What is wrong with an equation from outside beside its class and its keys, or None."""
    keys = equation.config_class
    parameters = keys.model_fields["parameters"].annotation
    if parameters is BaseModel or not (isinstance(parameters, type) and issubclass(parameters, BaseModel)):
        return f"{keys.__name__} has no `parameters`: a pydantic model with a number or formula for each coefficient"
    if not takes(equation, None):
        return f"{equation.__name__} is made from its configuration alone: def __init__(self, config)"
    # Whether the equation depends on the time may be for its configuration to say: see `build_equation`.
    if not takes(equation.step, None, {}, {}) and not takes(equation.step, None, {}, {}, None):
        return f"{equation.__name__}.step takes the fields and the parameters: def step(self, fields, parameters)"
    return None


def _adapted(candidate: Any, name: str) -> Any:
    """A function of fields, parameters and operators as an equation by formula."""
    if not inspect.isfunction(candidate):
        return candidate
    functions = import_module("hyco.equations.formula.functions")  # SymPy takes half a second
    return functions.function_equation(candidate, name)


EQUATIONS: Registry[type[Equation]] = Registry(
    kind="equation",
    built_in={
        "advection": "hyco.equations.advection:Advection",
        "advection_diffusion": "hyco.equations.advection_diffusion:AdvectionDiffusion",
        "burgers": "hyco.equations.burgers:Burgers",
        "darcy": "hyco.equations.darcy:Darcy",
        "elliptic": "hyco.equations.elliptic:Elliptic",
        "formula": "hyco.equations.formula.equation:FormulaEquation",
        "gray_scott": "hyco.equations.gray_scott:GrayScott",
        "heat": "hyco.equations.heat:Heat",
        "inviscid_burgers": "hyco.equations.inviscid_burgers:InviscidBurgers",
        "navier_stokes": "hyco.equations.navier_stokes:NavierStokes",
        "smoke": "hyco.equations.smoke:Smoke",
    },
    group="hyco.equations",
    base="hyco.equations.equation:Equation",
    config="hyco.equations.equation:EquationConfig",
    check=_why_unusable,
    adapt=_adapted,
)


def equation_config(data: dict[str, Any]) -> EquationConfig:
    """Validate the `equation` section with the model of the equation that it names.

    Raises:
        PluginError: there is no equation of this name, or it cannot be used.
        pydantic.ValidationError: a wrong key or value.
    """
    return EQUATIONS.load(str(data.get("name"))).config_class.model_validate(data)


def build_equation(config: EquationConfig | dict[str, Any]) -> Equation:
    """The equation that a configuration describes.

    Raises:
        PluginError: the class is not one of this package, and fails or leaves out an attribute.
    """
    if isinstance(config, dict):
        config = equation_config(config)
    equation = EQUATIONS.load(config.name)
    if config.name in EQUATIONS.built_in:
        return equation(config)
    try:
        built = equation(config)
    except Exception as error:  # whatever a class of the user's raises
        raise PluginError(f"equation {config.name!r} cannot be made: {in_one_line(error)}") from error
    if missing := [key for key in ("config", "layout", "dt", "parameters") if not hasattr(built, key)]:
        raise PluginError(f"equation {config.name!r}: __init__ does not set self.{', self.'.join(missing)}")
    if not takes(built.step, {}, {}, *([] if built.autonomous else [None])):
        given, wanted = ("True", "fields and parameters") if built.autonomous else ("False", "the time too")
        hint = "step(self, fields, parameters), or autonomous = False for step(self, fields, parameters, time)"
        raise PluginError(f"equation {config.name!r}: autonomous is {given}, so that step takes {wanted}: def {hint}")
    return built


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
    """The equation that a physical model assumes: that of the data with other keys, or on a coarser grid.

    Args:
        equation: that of the data; returned as it is if nothing differs.
        overrides: `physical.equation`, laid over the section `equation`; with another `name` it replaces all of it but
            `domain` and `dt`, which are the data's.
        resolution: `physical.resolution`, the cells along each axis.

    Raises:
        OtherStatesError: the states are others, or the grid does not fit into that of the data.
        ValueError, pydantic.ValidationError: the result is no equation.
    """
    config = equation.config
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

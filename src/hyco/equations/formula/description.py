"""An equation by formula in words: its formulas, the scheme that they are integrated with, and its walls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hyco.equations.formula.config import FormulaConfig
from hyco.equations.formula.plan import Plan
from hyco.equations.formula.stability import EULER, FOURTH_ORDER
from hyco.equations.formula.symbols import Slope
from hyco.walls.boundary import AxisWalls, in_short


def described(config: FormulaConfig, plan: Plan, stages: int) -> Iterator[tuple[str, str]]:
    """Lines of a title and a text.

    Args:
        config: keys of the equation.
        plan: how its formulas are integrated.
        stages: of an explicit step.
    """
    for name, text in plan.text.items():
        yield "formula", f"∂{name}/∂t = {' '.join(text.split())}"
    yield "scheme", f"{_space(config, plan)}; {_time(plan, stages)}"
    for name in config.field_names:
        boundary = config.walls_of(name)
        for axis, domain in config.domain.items():
            yield "walls", _walls(name, axis, boundary[axis], domain.lower, domain.lower + domain.size)


def _space(config: FormulaConfig, plan: Plan) -> str:
    if plan.spectral:
        return "derivatives by Fourier coefficients, products freed of aliasing"
    slopes = {node for rate in plan.rates_of.values() for node in rate.atoms(Slope)}
    inner = {node for slope in slopes for node in slope.args[0].atoms(Slope)}
    fluxes = any(slope.args[0].is_Mul and slope.args[0].has(Slope) for slope in slopes)
    carried = any(not slope.args[0].has(Slope) for slope in slopes - inner)
    upwind = ", upwind of order 3 for what carries" if carried and config.transport == "upwind" else ""
    return f"differences of order {config.order}{', fluxes of order 2' if fluxes else ''}{upwind}"


def _time(plan: Plan, stages: int) -> str:
    linear = [str(name) for name, own in plan.linear.items() if own]
    if plan.exponential:
        what = "linear terms exactly" if linear else "no linear terms"
        return f"{what}, others by 4 stages of order 4 (exponential)"
    if stages == EULER:
        return "1 explicit stage of order 1 (Euler)"
    if stages == FOURTH_ORDER:
        return "4 explicit stages of order 4 (Runge-Kutta)"
    return f"{stages} explicit stages of order 2 (Runge-Kutta-Legendre)"


def _walls(field: str, axis: str, pair: AxisWalls, lower: float, upper: float) -> str:
    if pair.periodic:
        return f"{field} along {axis}: periodic"
    words = [_wall(field, in_short(wall.plain)) for wall in pair]
    if words[0] == words[1]:
        return f"{field} at both ends of {axis}: {words[0]}"
    return f"{field} at {axis} = {lower:g}: {words[0]}; at {axis} = {upper:g}: {words[1]}"


def _wall(field: str, plain: Any) -> str:
    if plain == "neumann":
        return f"no slope, ∂{field}/∂n = 0"
    if not isinstance(plain, dict):
        return f"{field} = {plain}"
    ((kind, keys),) = plain.items()
    if kind == "robin" and isinstance(keys, dict):
        return f"{keys.get('a')} {field} + {keys.get('b', 1.0)} ∂{field}/∂n = {keys.get('c', 0.0)}"
    value = next(iter(keys.values())) if isinstance(keys, dict) and len(keys) == 1 else keys
    return {
        "value": f"{field} = {value}",
        "flux": f"∂{field}/∂n = {value}",
        "column": f"{field} as measured in {value}",
    }.get(kind, f"{kind} {keys}")

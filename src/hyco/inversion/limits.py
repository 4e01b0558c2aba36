"""What ends the range of a number: its bounds, the equation's meaning, or what the scheme is stable for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hyco.equations.equation import EquationConfig
from hyco.parameters import ParameterSpace

log = logging.getLogger(__name__)

# How near to an edge, in coordinates, an estimate sits on it.
NEAR = 1e-6


@dataclass(frozen=True)
class Edge:
    """One end of a number's range.

    Attributes:
        kind: `bound` of the configuration; `equation`: beyond it there is no meaning; `scheme`: beyond it the step is
            not stable; `none`.
        value: of the parameter there; of numbers in a formula that of the formula.
        key: of the equation, which moves the limit of a scheme.
    """

    kind: Literal["bound", "equation", "scheme", "none"]
    value: float = 0.0
    key: str | None = None

    @property
    def searchable(self) -> bool:
        """Whether something may lie beyond, so that an interval which reaches it is cut off by it."""
        return self.kind in ("bound", "scheme")

    @property
    def words(self) -> str:
        """What it is, as in "sits on …"."""
        if self.kind == "scheme":
            return f"the limit of the scheme, {self.value:.4g} (equation.{self.key})"
        return f"its bound {self.value:.4g}" if self.kind == "bound" else f"the limit of the equation, {self.value:.4g}"

    @property
    def advice(self) -> str:
        """What to do where an estimate is there."""
        if self.kind == "scheme":
            return f"Raise equation.{self.key}, or, where it is auto, give the number bounds."
        return "Widen the bounds, if more is possible." if self.kind == "bound" else "Beyond it there is no meaning."


Edges = tuple[Edge, Edge]


def edges_of_numbers(space: ParameterSpace, config: EquationConfig) -> dict[str, Edges]:
    """The lower and the upper edge of each learnt number, by full name."""
    edges: dict[str, Edges] = {}
    for parameter in space.learnable:
        limits, keys = space.limits[parameter.name], config.limiting_keys(parameter.name)
        for label, number in parameter.scalar_parts().items():
            i = space.labels.index(label)
            ends: list[Edge] = []
            for end, box in enumerate((space.lower, space.upper)):
                if number.bounds is not None:
                    ends.append(Edge("bound", number.bounds[end]))
                elif not bool(torch.isfinite(box[i])):
                    ends.append(Edge("none"))
                else:
                    ends.append(_of_limit(space, parameter.name, i, end, limits, keys))
            edges[label] = ends[0], ends[1]
    return edges


def _of_limit(
    space: ParameterSpace,
    name: str,
    i: int,
    end: int,
    limits: tuple[float, float],
    keys: tuple[str | None, str | None],
) -> Edge:
    """The equation's limit that a formula of one number, or the number itself, meets at this end of its range."""
    theta = space.initial.clone()
    theta[i] = (space.lower, space.upper)[end][i]
    value = space.to_values(theta)[name]
    which = min((0, 1), key=lambda e: float((value - limits[e]).abs().min()))
    return Edge("scheme" if keys[which] else "equation", limits[which], keys[which])


def edge_at(position: float, lower: float, upper: float, edges: Edges) -> Edge | None:
    """The edge that a coordinate sits on; None: it lies between them."""
    edge = edges[0] if position <= lower + NEAR else edges[1] if position >= upper - NEAR else None
    return None if edge is None or edge.kind == "none" else edge


def warn_of_fields_on_limits(space: ParameterSpace, theta: Tensor, config: EquationConfig) -> None:
    """Say which fields, or numbers that a formula makes, lie on a limit of the equation.

    Args:
        theta: the parameters' coordinates, `[p]`.
    """
    values: Mapping[str, Tensor] = space.to_values(theta)
    for parameter in space.learnable:
        if parameter.name in parameter.scalar_parts() or getattr(parameter, "bounds", None) is not None:
            continue
        value, keys = values[parameter.name], config.limiting_keys(parameter.name)
        for end, limit in enumerate(space.limits[parameter.name]):
            # A coordinate at the edge of its box gives the limit to rounding.
            there = (value - limit).abs() <= 1e-9 * max(1.0, abs(limit))
            if not bool(there.any()):
                continue
            edge = Edge("scheme" if keys[end] else "equation", limit, keys[end])
            where = f" in {int(there.sum())} of {there.numel()} cells" if value.ndim else ""
            log.warning("%s sits on %s%s. %s", parameter.name, edge.words, where, edge.advice)

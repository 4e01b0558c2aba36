"""Ranges of an equation that are `auto`, for an experiment that is simulated: from its own simulations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hyco.equations.ranges import with_ranges
from hyco.equations.registry import build_equation
from hyco.grid import Grid
from hyco.parameters import Learnable
from hyco.stepping.generation import GenerationConfig, initial_states, simulated


def resolve_simulated(
    equation: Mapping[str, Any], generation: Mapping[str, Any], seed: int, learnable: Sequence[Learnable]
) -> dict[str, Any]:
    """The section `equation` with numbers for its ranges that are `auto`, so that all of an experiment agrees on them.

    They cover the simulations of this seed, all of them and at all times, and the bounds of what is learnt. The same
    sections and seed give the same numbers.

    Args:
        equation, generation: the sections, valid.
        seed: of the random initial states.
        learnable: what any training of the experiment learns.

    Returns:
        The section; the one that was given, if nothing in it is `auto`.

    Raises:
        FloatingPointError: a simulation is not finite.
        ValueError: a formula of an initial state does not fit.
    """
    built = build_equation(dict(equation))
    if not built.config.open_ranges:
        return dict(equation)
    config = GenerationConfig.model_validate(generation)
    starts = initial_states(built, config, seed)
    largest = built.reach(starts)
    if built.accelerates:
        # The initial states are among these.
        largest = built.reach(simulated(built, starts, config.steps, config.execution)[1])
    return with_ranges(equation, largest=largest, bounds=expected_bounds(learnable, built.layout.grid))


def expected_bounds(learnable: Sequence[Learnable], grid: Grid) -> dict[str, tuple[float, float]]:
    """What values the learnable parameters may have, by name; of one that is learnt in several ways, of all."""
    bounds: dict[str, tuple[float, float]] = {}
    for parameter in learnable:
        lower, upper = parameter.expected(grid)
        known = bounds.get(parameter.name, (lower, upper))
        bounds[parameter.name] = min(lower, known[0]), max(upper, known[1])
    return bounds

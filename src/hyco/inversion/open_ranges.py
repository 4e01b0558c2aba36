"""Ranges of an equation that are `auto`, for a fit: from what was measured and what is learnt."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import model_equation
from hyco.inversion.data_range import measured_in_full
from hyco.observations import Observations
from hyco.observations.statistics import all_but_channels
from hyco.parameters import Learnable
from hyco.stepping.generation import simulated
from hyco.stepping.ranges import expected_bounds

log = logging.getLogger(__name__)

# What states may reach between the measurements, over what was measured, where the state at t = 0 is not known.
_UNSEEN = 1.5
# A given value that is not used, so far beyond what is learnt, is a slip that costs time.
_FAR = 4.0
# Sub-steps of a step that a word is due to.
_MANY = 100


def filled_ranges(
    equation: Equation, overrides: Mapping[str, Any], observations: Observations, learnable: Sequence[Learnable]
) -> dict[str, Any]:
    """What a physical model's equation has to be able to do, by key: fields for what is learnt so, and open ranges.

    They cover the states that were measured of any simulation, noise and all, and the bounds of what is learnt (ten
    times the first guess of what has none). Where a flow may speed up, and only its start is known in full, they cover
    the simulation with the first guesses too.

    Args:
        equation: that of the data.
        overrides: what the physical model assumes of it, `physical.equation`.
        observations: what was measured.
        learnable: the unknown parameters.
    """
    own = model_equation(equation, overrides)
    kept = own.config.for_fields([p.name for p in learnable if p.is_field])
    if kept:
        own = model_equation(equation, {**overrides, **kept})
    if not own.config.open_ranges:
        return kept
    grid = own.layout.grid
    bounds = expected_bounds(learnable, grid)
    largest = _measured_reach(own, observations)
    if own.accelerates and observations.initial_known and not len(measured_in_full(observations, observations.train)):
        guessed = _guessed_reach(own, observations, learnable)
        # Where both are as large, that of all times knows more.
        largest = guessed if guessed >= largest else largest
    ranges = own.config.ranges(largest, bounds)
    for name, learnt in bounds.items():
        given = own.config.largest_value(name, {})
        far = given > _FAR * max(map(abs, learnt))
        if far and own.config.ranges(largest, bounds | {name: (0.0, 2 * given)}) != ranges:
            log.warning(
                "equation.parameters.%s is %.3g, far beyond what is learnt, and costs time: ranges that are auto cover "
                "it. Give a value within the bounds.",
                name,
                given,
            )
    _warn_of_substeps(own, largest, bounds, ranges)
    texts = [f"{key} {value if isinstance(value, str) else f'{value:.4g}'}" for key, value in ranges.items()]
    log.info("Ranges that are auto: %s.", ", ".join(texts))
    return {**kept, **ranges}


def _warn_of_substeps(
    equation: Equation, largest: float, bounds: Mapping[str, tuple[float, float]], ranges: Mapping[str, Any]
) -> None:
    """Say which bounds ask for many sub-steps, where a tenth of them would ask for half as many."""
    count = ranges.get("substeps", 0)
    if count < _MANY:
        return
    fewer: dict[tuple[str, tuple[float, float]], float] = {}
    for name, (low, high) in bounds.items():
        ends = [(low / 10 if low < 0 else low, high / 10)] if low <= high / 10 else []
        # What damps asks for few where it is large: then its lower end costs.
        ends += [(low * 10, high)] if 0 < low * 10 <= high else []
        for end in ends:
            fewer[name, end] = equation.config.ranges(largest, {**bounds, name: end})["substeps"]
    if fewer and min(fewer.values()) <= count / 2:
        (name, (low, high)), steps = min(fewer.items(), key=lambda item: item[1])
        log.warning(
            "Each step takes %d sub-steps, so that it is stable for all values within the bounds; with %s from %.2g "
            "to %.2g it would take %d. Narrow the bounds, if you can.",
            count,
            name,
            low,
            high,
            steps,
        )


def _measured_reach(equation: Equation, observations: Observations) -> float:
    """What the measurements say that states reach."""
    # Not the test simulations: no training knows them, and a prediction of theirs widens its own range.
    used = [*observations.train, *observations.val]
    seen = equation.reach_of(_peaks(observations.values[used], observations.mask[used]))
    whole = [measured_in_full(observations, used)]
    if observations.initial_state != "observed":  # else they are a guess
        whole.append(observations.initial_states[used])
    whole = [states for states in whole if len(states)]
    room = 1.0 if observations.initial_known else _UNSEEN
    if not whole:
        return room * seen
    states = torch.cat(whole)
    known, first = equation.reach(states), equation.reach_of(_peaks(states[:, None], torch.ones_like(states[:, None])))
    if seen <= first:
        return known
    # Measurements of parts say how much larger states become than those that are known in full.
    return room * (max(seen, known) if first == 0 else known * seen / first)


def _peaks(values: Tensor, mask: Tensor) -> list[float]:
    """The largest |value| of each channel of `[S, T, C, …]`, of those that were measured."""
    peaks: list[float] = (values.abs() * mask).amax(dim=all_but_channels(values)).tolist()
    return peaks


def _guessed_reach(equation: Equation, observations: Observations, learnable: Sequence[Learnable]) -> float:
    """What states reach from the known initial states with the first guesses."""
    grid = equation.layout.grid
    guesses = {p.name: p.value(p.coordinates(grid).guess, grid) for p in learnable}
    parameters = {name: value[None] if value.ndim else value for name, value in guesses.items()}
    try:
        _, states = simulated(equation, observations.initial_states, observations.steps, parameters=parameters)
    except FloatingPointError:
        return 0.0  # the search will say so
    return equation.reach(states)

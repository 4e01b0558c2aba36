"""Test rollouts of every method."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hyco.baselines.persistence import persistence
from hyco.equations.equation import Equation
from hyco.evaluation.models import METHODS
from hyco.fields import Layout
from hyco.trained_model import TrainedModel


def roll_out_methods(
    trajectories: Tensor,
    test_sim: list[int],
    equation: Equation,
    models: Mapping[str, TrainedModel],
    initial_states: Tensor | None = None,
) -> dict[str, Tensor]:
    """Roll every model out from the initial states of the test simulations, over their whole length.

    Args:
        trajectories: the truth, `[S, T+1, C, *space]`, or what was measured of it, NaN where nothing was.
        models: by method, any of `METHODS` but persistence.
        initial_states: of the test simulations, as the observations have them: estimates from what was measured at
            t = 0, or as measured (`Observations.starts_estimated`); None: exactly known.

    Returns:
        `truth`, `persistence` and the methods, each `[S_test, T, C, *space]`.

    Raises:
        ValueError: there is no test simulation, there is not one initial state for each, or one is not known in full.
    """
    start = initial_states_of_tests(trajectories, test_sim, equation.layout, initial_states)
    truth, steps = trajectories[test_sim], trajectories.shape[1] - 1
    rollouts = {"truth": truth[:, 1:], "persistence": persistence(start, steps)}
    for method in METHODS:
        if method in models:
            rollouts[method] = models[method].rollout(start, steps)
    return rollouts


def initial_states_of_tests(
    trajectories: Tensor, test_sim: list[int], layout: Layout, initial_states: Tensor | None = None
) -> Tensor:
    """The states that test rollouts begin with, `[S_test, C, *space]`; arguments: `roll_out_methods`.

    Raises:
        ValueError: there is no test simulation, there is not one initial state for each, or one is not known in full.
    """
    if not test_sim:
        raise ValueError("observation.test_sim is empty: there is nothing to evaluate on; run the tag `train` alone")
    if max(test_sim) >= len(trajectories):
        raise ValueError(
            f"observation.test_sim names simulation {max(test_sim)}; there are {len(trajectories)}, from 0 on"
        )
    measured = trajectories[test_sim][:, 0]
    if initial_states is not None and initial_states.shape != measured.shape:
        raise ValueError(
            f"test_initial_states must be one state for each of observation.test_sim = {test_sim}, "
            f"{list(measured.shape)}, got {list(initial_states.shape)}"
        )
    start = measured if initial_states is None else initial_states
    if bool((start.isnan() & layout.valid).any()):
        raise ValueError(
            "some states at t = 0 of observation.test_sim are not measured in every cell: a rollout begins with a "
            "whole state, give `test_initial_states` to the Observations"
        )
    return torch.where(layout.valid, start, 0.0)

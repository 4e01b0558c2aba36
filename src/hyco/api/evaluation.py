"""Predictions of trained models for test simulations, and their errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hyco.api.arguments import require
from hyco.api.data import Trajectories
from hyco.api.hybrid import TrainedHybrid
from hyco.api.networks import TrainedNetwork
from hyco.api.physics import FittedPhysics
from hyco.equations.equation import Equation
from hyco.evaluation import dt_of, roll_out_methods
from hyco.observations import Observations
from hyco.report import report, table, true_numbers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Result = FittedPhysics | TrainedNetwork | TrainedHybrid


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What trained models predict for test simulations, and how wrong they are; `hyco.evaluate` makes one.

    Models go by their names in reports: `physical`, `synthetic`, `hybrid_physical`, `hybrid_synthetic`, and
    `persistence`, the guess that nothing changes.

    Attributes:
        methods: by name, as report.json has them: `nrmse` (`mean`, `per_step`), and of physical models `parameters`.
        rollouts: by name `[S_test, T, C, *space]`, and `truth`.
        trajectories: what the models are compared with.
    """

    methods: dict[str, Any]
    rollouts: dict[str, Tensor]
    trajectories: Trajectories

    @property
    def table(self) -> pd.DataFrame:
        """One row per model and parameter: `nrmse_mean`, `nrmse_last`, `estimate`, `std`, `relative_error`, …."""
        rows = table({"experiment": "", "seed": 0, "methods": self.methods})
        return rows.drop(columns=["experiment", "seed"])

    def plot_errors(self) -> Figure:
        """The error of every model over the rollout, as a figure of matplotlib."""
        from hyco.plots import rollout_error

        errors = {name: entry["nrmse"] for name, entry in self.methods.items()}
        steps = next((error["steps"] for error in errors.values() if "steps" in error), None)
        return rollout_error({n: e["per_step"] for n, e in errors.items()}, self.trajectories.dt, steps=steps)

    def plot_predictions(self, simulation: int = 0, channel: int = 0) -> Figure:
        """Truth, predictions and errors of one simulation, as a figure of matplotlib.

        Args:
            simulation: which of the test simulations, by position.
            channel: which channel, by position in `layout.channels`.

        Raises:
            ValueError: there is no such simulation or channel.
        """
        count = len(self.rollouts["truth"])
        if simulation not in range(count):
            raise ValueError(f"simulation: expected a number from 0 to {count - 1}, got {simulation!r}")
        from hyco.plots import pictured, predictions

        layout, measured = self.trajectories.layout, self.trajectories.origin is None
        arrays = {name: states[simulation].numpy() for name, states in self.rollouts.items()}
        return predictions(**pictured(arrays, layout, self.trajectories.dt, channel, measured=measured))

    def __repr__(self) -> str:
        errors = ", ".join(f"{name} {entry['nrmse']['mean']:.3g}" for name, entry in self.methods.items())
        return f"Evaluation(nrmse: {errors})"


def evaluate(
    models: Result | Sequence[Result],
    trajectories: Trajectories,
    simulations: Sequence[int],
    *,
    observations: Observations | None = None,
) -> Evaluation:
    """Let trained models predict test simulations over their whole length, and compare with the truth.

    The error of a step, nRMSE, is ‖prediction - truth‖ / ‖truth‖ over channels and space, averaged over simulations.

    Args:
        models: what `hyco.fit`, `hyco.train_network` and `hyco.train_hybrid` return, one of each at most; or one alone.
        trajectories: `[S, T+1, C, *space]`, among them the test simulations; where they were not simulated, NaN is what
            was not measured, and no true coefficients are known.
        simulations: which they are, by index: those that no model has seen.
        observations: those of the training, where their initial states are not exact: the test then starts from states
            measured likewise. None: it starts from the true ones.

    Returns:
        `Evaluation`: `.table`, `.methods`, `.rollouts`, figures.

    Raises:
        TypeError: an argument is something else than the above.
        ValueError: two models go by one name, a model is of other states than the trajectories, there is no such
            simulation, or its initial state is not known.
        FloatingPointError: a prediction is not finite.

    Example:
        >>> import hyco
        >>> heat = hyco.equation({"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.1,
        ...                       "max_diffusivity": 0.1, "parameters": {"diffusivity": 0.02}})
        >>> trajectories = hyco.simulate(heat, simulations=3, steps=4, length_scale=0.2)
        >>> observations = hyco.observe(trajectories, {"train_sim": [0, 1], "test_sim": [2], "noise": 0.01})
        >>> learn = [{"name": "diffusivity", "initial_guess": 0.08, "bounds": [0.001, 0.1]}]
        >>> physics = hyco.fit(heat, observations, learn, method="Levenberg-Marquardt")
        >>> evaluation = hyco.evaluate(physics, trajectories, [2])
        >>> list(evaluation.methods)
        ['persistence', 'physical']
        >>> evaluation.methods["physical"]["nrmse"]["mean"] < 0.01
        True
    """
    require(trajectories, Trajectories, "trajectories", "hyco.simulate")
    if observations is not None:
        require(observations, Observations, "observations", "hyco.observe")
    given = _models(models)
    parts = [part for m in given for part in ((m.network, m.physics) if isinstance(m, TrainedHybrid) else (m,))]
    names = [part.method for part in parts]
    if len(set(names)) < len(names):
        raise ValueError(f"models: one of each kind can be compared, got {', '.join(names)}")
    chosen = _indices(simulations, len(trajectories.states))
    equation, measured = trajectories.equation, trajectories.origin is None
    for part in parts:
        _require_states_of(part, equation)
    states = trajectories.states
    if measured:
        states = torch.where(states.isfinite() & equation.layout.valid, states, torch.nan)
    finals = {part.method: part.evaluated for part in parts}
    starts = None if observations is None else observations.test_initial_states
    rollouts = roll_out_methods(states, chosen, equation, finals, starts)
    true = {part.method: true_numbers(equation, part.learnt) for part in parts if isinstance(part, FittedPhysics)}
    content = report("", 0, equation, equation.config.name, rollouts, finals, true, measured=measured)
    return Evaluation(content["methods"], rollouts, trajectories)


def _models(models: Any) -> list[Result]:
    """The argument `models` as a list."""
    given = list(models) if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    for model in given:
        if not isinstance(model, Result):
            raise TypeError(
                "models: expected what hyco.fit, hyco.train_network or hyco.train_hybrid returns, or a list of such, "
                f"got {type(model).__name__}"
            )
    return given


def _indices(simulations: Any, count: int) -> list[int]:
    """The argument `simulations` as numbers of Python."""
    given = list(simulations) if isinstance(simulations, Iterable) else [simulations]
    whole = all(isinstance(i, int | np.integer) and not isinstance(i, bool) and 0 <= i < count for i in given)
    if not (whole and given and isinstance(simulations, Iterable)):
        raise ValueError(f"simulations: expected indices from 0 to {count - 1} in a list, got {simulations!r}")
    return [int(i) for i in given]


def _require_states_of(model: FittedPhysics | TrainedNetwork, equation: Equation) -> None:
    """Refuse a model of other states than the trajectories'.

    Raises:
        ValueError: says what both have.
    """
    try:
        if isinstance(model, FittedPhysics):
            equation.require_states(model.equation.layout, model.equation.dt)
        else:
            equation.require_states(model.model.layout, dt_of(model.final, equation))
    except ValueError as error:
        raise ValueError(f"models: {model.method} predicts other states than those of trajectories: {error}") from error

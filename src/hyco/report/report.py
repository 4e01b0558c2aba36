"""The report of a run: errors of every method, parameters with their uncertainty, and the cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.evaluation import METHODS, EvaluatedModel, MeasuredErrors
from hyco.metrics import nrmse_per_step
from hyco.report.cost import cost
from hyco.report.parameters import parameter_entries
from hyco.report.warnings import (
    network_warnings,
    undetermined_warnings,
    warn_of_estimate,
    warn_of_prior_knowledge,
)
from hyco.training.synthetic import unknown_time

_OF_NETWORKS = "train longer, with a smaller learning rate or with longer training rollouts (num_predict_steps)"
_OF_PHYSICS = (
    "the equation may lead ever farther from a noisy initial state, as growth does below 0: say what its fields may be "
    "(equation.fields.NAME.lower and upper), or measure the initial state better"
)


class NotFiniteError(FloatingPointError):
    """A test rollout, or its error, is not finite: JSON has no number for it, and there is nothing to compare."""


def report(
    experiment: str,
    seed: int,
    equation: Equation,
    name: str,
    rollouts: Mapping[str, Tensor],
    models: Mapping[str, EvaluatedModel],
    true_numbers: Mapping[str, Mapping[str, float]] | None = None,
    *,
    measured: bool = False,
    errors: Mapping[str, MeasuredErrors] | None = None,
    units: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The content of report.json.

    Args:
        rollouts: by method, see `roll_out_methods`, or the states of `roll_out_to_measurements`.
        true_numbers: by method, true values of learnt numbers by full name, where they are known; default: the
            equation's own.
        measured: the rollouts' `truth` was measured, so that errors have its noise in them, and no true value is known
            of what is learnt. Steps of which nothing was measured are left out; `nrmse.steps` then names the others.
        errors: by method, errors against measurements where and when they were made; None: those of `rollouts` against
            their `truth`.
        units: of the learnt numbers, by full name, as far as they are known.

    Raises:
        NotFiniteError: a method's rollout or its error is not finite.
        ValueError: the physical model had no update, so that a number has no standard deviation.
    """
    own = {key: value for key, value in equation.parameters.items() if isinstance(value, float)}
    methods: dict[str, Any] = {}
    warnings: list[str] = []
    for method in METHODS:
        if method not in rollouts:
            continue
        _require_finite(method, rollouts[method])
        if errors is None:
            entry: dict[str, Any] = {"nrmse": _errors(method, rollouts[method], rollouts["truth"])}
        else:
            entry = _measured_errors(method, errors[method])
        if method in models:
            truth = {} if measured else own if true_numbers is None else true_numbers.get(method, {})
            entry |= _of_model(method, models[method], None if measured else equation, truth, units or {})
            warnings += _warnings(method, models[method], entry, equation, measured=measured)
        methods[method] = entry
    warnings += [*network_warnings(methods), *warn_of_prior_knowledge(methods.values())]
    spent = cost(model.training for model in models.values())
    content = {"experiment": experiment, "seed": seed, "equation": name, "methods": methods, "cost": spent}
    content |= {"warnings": warnings}
    return content | {"measured": True} if measured else content


def _errors(method: str, rollout: Tensor, truth: Tensor) -> dict[str, Any]:
    """NRMSE of a rollout `[S, T, C, *space]`: `mean` and `per_step`.

    Raises:
        NotFiniteError: the error is not finite.
    """
    of_all, flagged = nrmse_per_step(rollout, truth)
    steps = _steps_with_truth(truth)
    per_step = [of_all[step - 1] for step in steps]
    errors: dict[str, Any] = {"mean": _mean(method, per_step), "per_step": per_step}
    if len(steps) < len(of_all):
        errors["steps"] = steps
    if flagged:
        errors["steps_with_truth_near_zero"] = flagged
    return errors


def _measured_errors(method: str, errors: MeasuredErrors) -> dict[str, Any]:
    """`nrmse`, by measured times, and `heldout`, how the errors compare with the noise.

    Raises:
        NotFiniteError: the error is not finite.
    """
    nrmse: dict[str, Any] = {"mean": _mean(method, errors.per_step), "per_step": errors.per_step}
    nrmse |= {} if errors.overall is None else {"overall": errors.overall}
    nrmse |= {"steps": errors.steps, "times": errors.times}
    if errors.flagged:
        nrmse["steps_with_truth_near_zero"] = errors.flagged
    return {"nrmse": nrmse, "heldout": {"chi_square": errors.chi_square, "count": errors.count}}


def _mean(method: str, per_step: list[float]) -> float:
    mean = sum(per_step) / len(per_step)
    if not math.isfinite(mean):
        raise NotFiniteError(
            f"the test rollout of {method} is so large that its error is not finite: {_advice(method)}"
        )
    return mean


def _require_finite(method: str, rollout: Tensor) -> None:
    """Refuse a rollout that is not finite: JSON has no number for its error."""
    if not bool(torch.isfinite(rollout).all()):
        raise NotFiniteError(f"the test rollout of {method} is not finite: {_advice(method)}")


def _advice(method: str) -> str:
    return _OF_PHYSICS if method.endswith("physical") else _OF_NETWORKS


def _warnings(
    method: str, model: EvaluatedModel, entry: Mapping[str, Any], equation: Equation, *, measured: bool
) -> list[str]:
    """What of a model is not to be trusted; it is logged, too, unless its training has said it."""
    if model.estimate is None:
        words = unknown_time(model.model, equation)
        return [] if words is None else [f"{method}: {words}"]
    parameters = entry["parameters"]
    said = warn_of_estimate(method, model.estimate, parameters, measured=measured)
    # Of these the search has warned already.
    return said + list(undetermined_warnings(method, parameters) if model.estimate.outcome is not None else ())


def _of_model(
    method: str,
    model: EvaluatedModel,
    equation: Equation | None,
    truth: Mapping[str, float],
    units: Mapping[str, str],
) -> dict[str, Any]:
    """What a report says of a model beside its errors."""
    entry: dict[str, Any] = {"training_seconds": model.training["wall_seconds"], **model.hybrid}
    estimate = model.estimate
    if estimate is None:
        return entry
    entry["parameters"] = parameter_entries(equation, model, truth)
    for parameter, values in entry["parameters"].items():
        if unit := units.get(parameter):
            values["unit"] = unit
    entry |= {
        "reduced_chi_square": estimate.reduced_chi_square,
        "outcome": {} if estimate.outcome is None else estimate.outcome.to_json(),
        "weights": estimate.weights,
        "execution": estimate.execution,
    }
    for key in ("degrees_of_freedom", "residual_freedom", "initial_state_prior", "outliers", "walls"):
        if (value := getattr(estimate, key)) is not None:
            entry[key] = value
    if (verdict := estimate.verdict) is not None:
        entry["verdict"] = {"cause": verdict["cause"], "why": verdict["why"]}
        if verdict["terms"] is not None:
            entry["missing_terms"] = verdict["terms"]
    if estimate.structure is not None:
        entry["residuals"] = {"structure": estimate.structure}
    if estimate.alternative_minima:
        entry["alternative_minima"] = estimate.alternative_minima
    if estimate.identifiability is not None:
        entry["undetermined"] = estimate.identifiability["undetermined"]
    return entry


def _steps_with_truth(truth: Tensor) -> list[int]:
    """The steps, from 1, of which the truth has any value.

    Raises:
        ValueError: there are none.
    """
    steps = [int(i) + 1 for i in (~truth.isnan()).transpose(0, 1).flatten(1).any(dim=1).nonzero().flatten()]
    if not steps:
        raise ValueError("nothing was measured of observation.test_sim after t = 0: there is nothing to compare with")
    return steps

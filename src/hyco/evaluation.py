"""Evaluation of trained models on the test simulations: rollouts, errors, the report and its table."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import model_equation
from hyco.hybrid.correction import model_from_bundle
from hyco.metrics import nrmse_per_step, persistence
from hyco.parameters import LearnableParameter
from hyco.runtime.storage import Bundle
from hyco.stepping.coarse import cell_means, repeated
from hyco.stepping.physical_model import PhysicalModel
from hyco.stepping.stepper import path_after_training

log = logging.getLogger(__name__)

# A reduced χ² above this says that the residuals are not the noise: error bars then are too small.
MISFIT = 1.5
# A pull above this many standard deviations is more than the error bar says.
PULLED = 1.0

# The file beside report.json that holds learnt fields.
FIELDS_FILE = "parameter_fields.safetensors"

METHODS = ("persistence", "synthetic", "physical", "hybrid_synthetic", "hybrid_physical")

# A model as the catalog holds it: a network's weights, or a physical model's estimates.
Model = Bundle | Mapping[str, Any]


def roll_out_methods(
    trajectories: Tensor,
    test_sim: list[int],
    equation: Equation,
    models: Mapping[str, Model],
    initial_states: Tensor | None = None,
) -> dict[str, Tensor]:
    """Roll every model out from the initial states of the test simulations, over their whole length.

    Args:
        trajectories: the truth, `[S, T+1, C, *space]`, or what was measured of it, NaN where nothing was.
        models: by method, any of `METHODS` but persistence.
        initial_states: of the test simulations, as measured; None: exactly known.

    Returns:
        `truth`, `persistence` and the methods, each `[S_test, T, C, *space]`.

    Raises:
        ValueError: there is no test simulation, or not all of the state is known that one begins with.
    """
    if not test_sim:
        raise ValueError("observation.test_sim is empty: there is nothing to evaluate on; run the tag `train` alone")
    if max(test_sim) >= len(trajectories):
        raise ValueError(
            f"observation.test_sim names simulation {max(test_sim)}; there are {len(trajectories)}, from 0 on"
        )
    truth = trajectories[test_sim]
    start, steps = truth[:, 0] if initial_states is None else initial_states, truth.shape[1] - 1
    if bool((start.isnan() & equation.layout.valid).any()):
        raise ValueError(
            "some states at t = 0 of observation.test_sim are not measured in every cell: a rollout begins with a "
            "whole state, give `test_initial_states` to the Observations"
        )
    start = torch.where(equation.layout.valid, start, 0.0)
    rollouts = {"truth": truth[:, 1:], "persistence": persistence(start, steps)}
    for method in METHODS:
        model = models.get(method)
        if isinstance(model, Bundle):
            rollouts[method] = model_from_bundle(model).rollout(start, steps)
        elif model is not None:
            rollouts[method] = _physical(equation, model, start, steps)
    return rollouts


@torch.no_grad()
def _physical(equation: Equation, model: Mapping[str, Any], start: Tensor, steps: int) -> Tensor:
    own = model_equation(equation, model["believed"]["equation"], model["believed"]["resolution"])
    parameters = own.parameter_tensors(start.dtype)
    parameters |= {name: torch.tensor(value, dtype=start.dtype) for name, value in model["values"].items()}
    parameters |= {name: torch.tensor(f["estimate"], dtype=start.dtype)[None] for name, f in model["fields"].items()}
    path = path_after_training(model["execution"])
    return PhysicalModel(own, equation.layout, path, work=steps).rollout(start, parameters, steps)


def report(
    experiment: str,
    seed: int,
    equation: Equation,
    name: str,
    rollouts: Mapping[str, Tensor],
    models: Mapping[str, Model],
    true_numbers: Mapping[str, Mapping[str, float]] | None = None,
    *,
    measured: bool = False,
) -> dict[str, Any]:
    """The content of report.json: errors of every method, parameters with their uncertainty, and the cost.

    Args:
        true_numbers: by method, true values of learnt numbers by full name, where they are known; default: the
            equation's own.
        measured: the rollouts' `truth` was measured, so that errors have its noise in them, and no true value is known
            of what is learnt. Steps of which nothing was measured are left out; `nrmse.steps` then names the others.

    Raises:
        FloatingPointError: a method's rollout or its error is not finite: JSON has no number for that.
        ValueError: the physical model had no update, so that a number has no standard deviation.
    """
    own = {name: value for name, value in equation.parameters.items() if isinstance(value, float)}
    if measured:
        own, true_numbers = {}, None
    methods: dict[str, Any] = {}
    for method in METHODS:
        if method not in rollouts:
            continue
        of_all, flagged = nrmse_per_step(rollouts[method], rollouts["truth"])
        steps = _known_steps(rollouts["truth"])
        per_step = [of_all[step - 1] for step in steps]
        mean = sum(per_step) / len(per_step)
        entry: dict[str, Any] = {"nrmse": {"mean": mean, "per_step": per_step}}
        if len(steps) < len(of_all):
            entry["nrmse"]["steps"] = steps
        finite = bool(torch.isfinite(rollouts[method]).all())
        if not (finite and math.isfinite(mean)):
            raise FloatingPointError(
                f"the test rollout of {method} is {'so large that its error is not finite' if finite else 'not finite'}"
                ": train longer, with a smaller learning rate or with longer training rollouts (num_predict_steps)"
            )
        if flagged:
            entry["nrmse"]["steps_with_truth_near_zero"] = flagged
        model, untouched = models.get(method), False
        if model is not None:
            entry["training_seconds"] = _training(model)["wall_seconds"]
            entry |= _hybrid(model)
        if model is not None and not isinstance(model, Bundle):
            true = own if true_numbers is None else true_numbers[method]
            entry["parameters"] = _parameters(None if measured else equation, model, true)
            entry |= {key: model[key] for key in ("reduced_chi_square", "outcome", "weights", "execution")}
            if model["identifiability"] is not None:
                entry["undetermined"] = model["identifiability"]["undetermined"]
            if untouched := "status" not in model["outcome"]:
                log.warning(
                    "%s is the first guess: the physical model had no update. Raise hybrid.epochs to at least "
                    "warmup_epochs + interleave_frequency.",
                    method,
                )
            elif model["reduced_chi_square"] is not None and model["reduced_chi_square"] > MISFIT:
                log.warning(
                    "%s leaves residuals of %.3g times the noise (reduced χ² %.3g): do not trust its error bars. "
                    "The equation or the noise level is wrong, or, in a hybrid, the network still pulls the estimate "
                    "(raise hybrid.alpha, or train longer).",
                    method,
                    model["reduced_chi_square"] ** 0.5,
                    model["reduced_chi_square"],
                )
        for parameter, p in entry.get("parameters", {}).items():
            if not untouched and (p.get("pull") or 0.0) > PULLED:
                log.warning(
                    "%s: %s is %.2g standard deviations from where the measurements alone put it: its std does not "
                    "cover that%s. %s",
                    method,
                    parameter,
                    p["pull"],
                    ", its interval does" if "interval" in p else "",
                    _why_pulled(model),
                )
        methods[method] = entry
    for entry in methods.values():
        if entry.get("interaction", {}).get("prior_knowledge"):
            log.warning(
                "The hybrid was trained from initial states of a known distribution (%d of them, length_scale %g, "
                "amplitude %g): that is knowledge beyond the observations. hybrid.interaction.source=trajectories "
                "shows the result without it.",
                *(entry["interaction"][key] for key in ("count", "length_scale", "amplitude")),
            )
            break
    found = {"experiment": experiment, "seed": seed, "equation": name, "methods": methods, "cost": _cost(models)}
    return found | {"measured": True} if measured else found


def _known_steps(truth: Tensor) -> list[int]:
    """The steps, from 1, of which anything is known.

    Raises:
        ValueError: there are none.
    """
    steps = [int(i) + 1 for i in (~truth.isnan()).transpose(0, 1).flatten(1).any(dim=1).nonzero().flatten()]
    if not steps:
        raise ValueError("nothing was measured of observation.test_sim after t = 0: there is nothing to compare with")
    return steps


def true_numbers(equation: Equation, learnt: Iterable[LearnableParameter]) -> dict[str, float]:
    """True values of the numbers that are learnt, by full name, where they are known."""
    return {name: value for p in learnt for name, value in p.true_numbers(equation.parameters.get(p.name)).items()}


def _hybrid(model: Model) -> dict[str, Any]:
    """`alpha`, `interaction` and `sequential` of a model that a hybrid trained; nothing for others."""
    found = model.metadata.get("hybrid") if isinstance(model, Bundle) else model.get("hybrid")
    return dict(found) if found else {}


def _why_pulled(model: Model | None) -> str:
    """What keeps a parameter away from where the measurements alone put it, and what to do."""
    if isinstance(model, Mapping) and not model.get("pulled", True):
        return "The optimisation ended on its way there: allow more iterations, or a smaller physical.abs_tol."
    return "The network's predictions pull it: raise hybrid.alpha, or train longer."


def _training(model: Model) -> dict[str, Any]:
    found: dict[str, Any] = model.metadata["training"] if isinstance(model, Bundle) else model["training"]
    return found


def _parameters(
    equation: Equation | None, model: Mapping[str, Any], true_numbers: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Numbers and fields, beside the truth where it is known: that of fields is the equation's."""
    found: dict[str, dict[str, Any]] = {}
    for name, p in model["parameters"].items():
        true = true_numbers.get(name)
        error = None if true is None else abs(p["estimate"] - true) / abs(true) if true else abs(p["estimate"])
        found[name] = {"true": true, **p, "relative_error": error}
        # A physics-informed network has none.
        if p["std"] is None and _training(model)["training"] != "pinn":
            raise ValueError(
                f"{name} has no standard deviation: the weight of a regularisation is chosen at the first update of "
                "the physical model, and there was none; raise hybrid.epochs to at least warmup_epochs + "
                "interleave_frequency, or give regularisation.weight a number"
            )
    for name, field in model["fields"].items():
        estimate = torch.tensor(field["estimate"], dtype=torch.float64)
        found[name] = {
            "true": None,
            "estimate": None,
            "std": None,
            "relative_error": None if equation is None else field_error(equation, name, estimate),
            "identifiable": field["identifiable"],
            "pull": field["pull"],
            "file": FIELDS_FILE,
        }
    return found


def field_error(equation: Equation, name: str, estimate: Tensor) -> float | None:
    """Relative L2 error of a learnt field; None where the truth is not known.

    A field of which only differences count is compared without its mean. Where the truth is zero it is the root mean
    square of the estimate, as for a number.
    """
    if name not in equation.parameters:
        return None
    true = torch.as_tensor(equation.parameters[name], dtype=torch.float64)
    # A field on a coarser grid is held against the means over its cells.
    true = cell_means(true, tuple(estimate.shape)) if true.ndim else true.expand(estimate.shape)
    largest = true.abs().max()
    if name in equation.up_to_a_constant:
        true, estimate = true - true.mean(), estimate - estimate.mean()
    difference, size = (estimate - true).norm(), true.norm()
    if float(size) <= 1e-12 * float(largest) * true.numel() ** 0.5:
        return float(difference / true.numel() ** 0.5)
    return float(difference / size)


def parameter_fields(equation: Equation, models: Mapping[str, Model], *, measured: bool = False) -> dict[str, Tensor]:
    """The learnt fields of all physical models: `method/name/estimate` and `…/std`, and `truth/name`.

    All on the grid of the data: values of a coarser grid are repeated in the cells that lie in theirs.

    Args:
        measured: the data were measured, so that the truth is not known.
    """
    shape = equation.layout.grid.resolution
    found: dict[str, Tensor] = {}
    for method, model in models.items():
        if isinstance(model, Bundle):
            continue
        for name, field in model["fields"].items():
            for key in ("estimate", "std"):
                if field[key] is not None:
                    found[f"{method}/{name}/{key}"] = repeated(torch.tensor(field[key], dtype=torch.float64), shape)
            if name in equation.parameters and not measured:
                true = torch.as_tensor(equation.parameters[name], dtype=torch.float64)
                found[f"truth/{name}"] = true.expand(found[f"{method}/{name}/estimate"].shape).clone()
    return found


def _cost(models: Mapping[str, Model]) -> dict[str, float]:
    """Seconds of each phase, summed over the trainings of this run, and the largest peak memory."""
    trainings = {_training(m)["training"]: _training(m) for m in models.values()}
    cost: dict[str, float] = {"wall_seconds": sum(t["wall_seconds"] for t in trainings.values())}
    for phase in ("conversion", "physical", "synthetic"):
        cost[f"{phase}_seconds"] = sum(t["seconds"].get(phase, 0.0) for t in trainings.values())
    cost["peak_rss_bytes"] = max((t["peak_rss_bytes"] for t in trainings.values()), default=0)
    return cost


def profile(models: Mapping[str, Model]) -> dict[str, Any]:
    """The content of profile.json: where the time of each training went.

    By training `wall_seconds`; `phases`, a list of {name, seconds, share of the wall time}, whose last is the "rest",
    what is in no phase: checkpoints, live metrics and the log; and `operators`, see
    `hyco.runtime.monitoring.top_operators`, empty unless they were recorded.
    """
    found = {}
    for training in {_training(m)["training"]: _training(m) for m in models.values()}.values():
        wall, seconds = training["wall_seconds"], training["seconds"]
        parts = {**seconds, "rest": wall - sum(seconds.values())}
        found[training["training"]] = {
            "wall_seconds": wall,
            "phases": [{"name": name, "seconds": value, "share": value / wall} for name, value in parts.items()],
            "operators": training["operators"],
        }
    return {"trainings": found}


def profile_page(profile: Mapping[str, Any]) -> str:
    """The profile as Markdown: for each training a table of phases, and one of operators for each part recorded."""
    lines = ["# Where the time went", ""]
    for training, entry in profile["trainings"].items():
        lines += [f"## {training}: {entry['wall_seconds']:.3g} s", "", "| phase | seconds | share |", "|---|---|---|"]
        lines += [f"| {row['name']} | {row['seconds']:.3g} | {row['share']:.1%} |" for row in entry["phases"]]
        lines += ["", "*rest* is in no phase: checkpoints, live metrics and the log.", ""]
        if not entry["operators"]:
            lines += ["Operators were not recorded; `profile: true` does.", ""]
        for part, recorded in entry["operators"].items():
            lines += [f"### Operators of {part}", "", f"Self time, of {recorded['seconds']:.3g} s recorded.", ""]
            lines += ["| operator | device | calls | seconds | share |", "|---|---|---|---|---|"]
            for row in recorded["top"]:
                calls = "" if row["calls"] is None else row["calls"]
                numbers = f"{row['device']} | {calls} | {row['seconds']:.3g} | {row['share']:.1%}"
                lines.append(f"| {row['name']} | {numbers} |")
            lines.append("")
    return "\n".join(lines)


def table(report: Mapping[str, Any]) -> pd.DataFrame:
    """The report as a table, one row per method and parameter."""
    rows = []
    for method, entry in report["methods"].items():
        row = {
            "experiment": report["experiment"],
            "seed": report["seed"],
            "method": method,
            "nrmse_mean": entry["nrmse"]["mean"],
            "nrmse_last": entry["nrmse"]["per_step"][-1],
            "training_seconds": entry.get("training_seconds"),
        }
        parameters = entry.get("parameters") or {None: {}}
        for name, p in parameters.items():
            rows.append(
                row
                | {"parameter": name}
                | {k: p.get(k) for k in ("true", "estimate", "std", "relative_error", "identifiable")}
            )
    return pd.DataFrame(rows)

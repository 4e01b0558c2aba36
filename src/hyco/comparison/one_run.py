"""One run of a comparison: a contender is trained for a seed, and judged by what it never saw."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from phi import math as phi_math
from torch import Tensor

from hyco.baselines.pinn import PinnConfig, train_pinn
from hyco.comparison.config import Contender
from hyco.comparison.data import Data, data_of
from hyco.comparison.plain import finite
from hyco.equations.equation import Equation
from hyco.evaluation import EvaluatedModel, evaluated_models, roll_out_methods, roll_out_to_measurements
from hyco.evaluation.models import FinalModel
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.metrics import nrmse_per_step
from hyco.observations import Observations
from hyco.parameters import LearnableParameter
from hyco.report import report, true_numbers
from hyco.runtime.storage import Bundle, read_bundle
from hyco.training.config import SyntheticConfig
from hyco.training.final import final_initial_states, final_physical_model, final_synthetic_model
from hyco.training.physical import PhysicalConfig, train_physical
from hyco.training.run import Step
from hyco.training.synthetic import train_synthetic

# How a training may fail without ending the comparison: it is recorded as failed, with the reason.
FAILURES = (phi_math.NotConverged, phi_math.Diverged, FloatingPointError)

# What is kept of a parameter's estimate.
_KEPT = ("true", "estimate", "std", "interval", "relative_error", "pull", "identifiable")

Record = dict[str, Any]


def run_piece(contender: Mapping[str, Any], seed: int, device: str, measured: str | None) -> list[Record]:
    """`run` as a piece of work, see `hyco.compute`.

    Args:
        contender: attributes of a `Contender`.
        seed, device: see `run`.
        measured: the file of what was measured; None: nothing was.
    """
    return run(Contender(**contender), seed, device, _measured(measured))


def check_data(sections: Mapping[str, Any], seed: int, measured: str | None) -> None:
    """See that the data of a seed can be made, as a piece of work. Arguments and errors: `run_piece`, `data_of`."""
    with _quiet():
        data_of(sections, seed, _measured(measured))


def lost(contender: Contender, seed: int, reason: str) -> list[Record]:
    """The records of a run that was begun and has come to no end, for what happened to those who did it."""
    return [{**_nothing(contender, m, seed, "lost", reason), "wall_seconds": None} for m in contender.results]


@lru_cache(maxsize=1)
def _bundle(path: str) -> Bundle:
    return read_bundle(Path(path))


def _measured(path: str | None) -> Bundle | None:
    return None if path is None else _bundle(path)


def _nothing(contender: Contender, method: str, seed: int, status: str, reason: str) -> Record:
    """The record of a model that came to nothing."""
    record: Record = {"method": method, "training": contender.name, "seed": seed, "status": status, "reason": reason}
    record |= {"nrmse": None, "nrmse_all": None, "per_step": [], "parameters": {}, "training_seconds": None}
    return record


def run(contender: Contender, seed: int, device: str, measured: Bundle | None = None) -> list[Record]:
    """Train one contender for one seed, and evaluate its models on the simulations that it never saw.

    Args:
        contender: what is trained.
        seed: of the data and the training.
        device: "cpu" or "cuda".
        measured: see `compare`.

    Returns:
        A record for each model, see docs/comparison.md. One that fails has `status` "failed" and its `reason`.

    Raises:
        ValueError, FloatingPointError: the data of this seed cannot be made.
    """
    with _quiet():
        data = data_of(contender.sections, seed, measured)
        begun = time.perf_counter()
        models: dict[str, EvaluatedModel] = {}
        failure = starts = None
        try:
            models, starts = _train(contender, data.equation, data.observations, seed, torch.device(device))
        except FAILURES as error:
            failure = error
        records = []
        for method, part in contender.results.items():
            try:
                if failure is not None:
                    raise failure
                result = _evaluate(contender, part, models.get(part), data, starts)
                record: Record = {"method": method, "training": contender.name, "seed": seed}
                record |= {"status": "finished", "reason": None, **result}
            except FAILURES as error:
                record = _nothing(contender, method, seed, "failed", f"{type(error).__name__}: {error}")
            records.append(record)
    seconds = time.perf_counter() - begun
    return [finite({**record, "wall_seconds": seconds}) for record in records]


def _train(
    contender: Contender, equation: Equation, observations: Observations, seed: int, device: torch.device
) -> tuple[dict[str, EvaluatedModel], Tensor | None]:
    """The final models by part, as the pipelines of the trainings make them.

    With them the initial states of the training simulations that the physical model has estimated, `[S, C, *space]`;
    None where they are known.
    """
    starts = None
    sections = contender.sections
    common: dict[str, Any] = {"configuration": {**sections, "seed": seed}, "device": device}
    finals: dict[str, FinalModel] = {}
    if contender.method == "synthetic":
        network = SyntheticConfig.model_validate(sections["synthetic"])
        steps = train_synthetic(observations, network, seed, equation=equation, **common)
        finals["synthetic"] = final_synthetic_model(_last(steps))
    elif contender.method == "physical":
        physical = PhysicalConfig.model_validate(sections["physical"])
        last = _last(train_physical(equation, observations, physical, **common))
        finals["physical"], starts = final_physical_model(last), _estimated_starts(last, observations)
    elif contender.method == "pinn":
        pinn = PinnConfig.model_validate(sections["pinn"])
        finals["synthetic"], finals["physical"] = train_pinn(equation, observations, pinn, seed, device=device)
    elif contender.method != "persistence":
        hybrid = HybridConfig.model_validate(sections["hybrid"])
        last = _last(HybridTrainer(equation, observations, hybrid, seed, **common).train())
        finals = {"synthetic": final_synthetic_model(last), "physical": final_physical_model(last)}
        starts = _estimated_starts(last, observations)
    return evaluated_models(finals, equation), starts


def _estimated_starts(checkpoint: Bundle, observations: Observations) -> Tensor | None:
    return None if observations.initial_known else final_initial_states(checkpoint).tensors["initial_states"]


def _last(steps: Iterable[Step]) -> Bundle:
    """The last checkpoint of a training."""
    # Not a list: each checkpoint is a copy of all weights.
    return deque(steps, maxlen=1).pop()[0]


def _evaluate(
    contender: Contender, part: str, model: EvaluatedModel | None, data: Data, starts: Tensor | None
) -> Record:
    """Errors of one model, from the report's own functions.

    Args:
        contender: what was trained.
        part: which of its models it is.
        model: the model; None: it has none.
        data: what it is judged by.
        starts: initial states that its training has estimated, see `_train`.

    Raises:
        FloatingPointError: its rollout is not finite.
    """
    label = f"hybrid_{part}" if len(contender.results) > 1 else part
    models = {} if model is None else {label: model}
    true = {label: true_numbers(data.equation, _unknowns(contender))}
    if data.trajectories is None:
        rolled = roll_out_to_measurements(data.observations, models, {label: starts})
        content = report("", 0, data.equation, "", rolled.states, models, measured=True, errors=rolled.errors)
        entry = content["methods"][label]
        nrmse_all = entry["nrmse"]["mean"]
    else:
        config, observations = data.config, data.observations
        first = observations.test_initial_states
        tests = roll_out_methods(data.trajectories, config.test_sim, data.equation, models, first)
        seen = [*config.train_sim, *config.val_sim]
        first = None if observations.initial_known else observations.initial_states
        others = roll_out_methods(data.trajectories, seen, data.equation, models, first)
        entry = report("", 0, data.equation, "", tests, models, true)["methods"][label]
        whole = {name: torch.cat([tests[name], others[name]]) for name in ("truth", label)}
        per_step, _ = nrmse_per_step(whole[label], whole["truth"])
        nrmse_all = sum(per_step) / len(per_step)
    return {
        "nrmse": entry["nrmse"]["mean"],
        "nrmse_all": nrmse_all,
        "per_step": entry["nrmse"]["per_step"],
        "parameters": {
            name: {key: values.get(key) for key in _KEPT} for name, values in entry.get("parameters", {}).items()
        },
        "training_seconds": entry.get("training_seconds", 0.0),
    }


def _unknowns(contender: Contender) -> list[LearnableParameter]:
    """The parameters that a contender learns."""
    sections = contender.sections
    if contender.method == "pinn":
        return PinnConfig.model_validate(sections["pinn"]).learnable_parameters
    physical = sections.get("physical") or sections.get("hybrid", {}).get("physical")
    return [] if physical is None else PhysicalConfig.model_validate(physical).learnable_parameters


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings alone: hundreds of epochs times methods times seeds would bury them."""
    logger = logging.getLogger("hyco")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)

"""Training and evaluation of every method for every seed, one after the other or side by side."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import math
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
from phi import math as phi_math
from pydantic import TypeAdapter
from torch import Tensor

from hyco.baselines.pinn import PinnConfig, train_pinn
from hyco.comparison.config import CompareConfig, Contender
from hyco.comparison.summary import summarise
from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.evaluation import EvaluatedModel, evaluated_models, roll_out_methods
from hyco.evaluation.models import FinalModel
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.metrics import nrmse_per_step
from hyco.observations import ObservationConfig, Observations, observe
from hyco.parameters import LearnableParameter
from hyco.report import report, true_numbers
from hyco.runtime.memory import keep_freed_memory
from hyco.runtime.storage import Bundle
from hyco.stepping.generation import GenerationConfig, generate
from hyco.stepping.ranges import resolve_simulated
from hyco.training.checkpoints import ResumeError, differences
from hyco.training.config import SyntheticConfig
from hyco.training.final import final_physical_model, final_synthetic_model
from hyco.training.physical import PhysicalConfig, train_physical
from hyco.training.run import Step
from hyco.training.synthetic import train_synthetic

log = logging.getLogger(__name__)

# How a training may fail without ending the comparison: it is recorded as failed, with the reason.
FAILURES = (phi_math.NotConverged, phi_math.Diverged, FloatingPointError)

# What is kept of a parameter's estimate.
_KEPT = ("true", "estimate", "std", "interval", "relative_error", "pull", "identifiable")

_LEARNT: TypeAdapter[list[LearnableParameter]] = TypeAdapter(list[LearnableParameter])

Record = dict[str, Any]
Comparison = dict[str, Any]


class LostProcessError(RuntimeError):
    """A process that trained has ended without a result."""


def compare(
    contenders: Sequence[Contender],
    config: CompareConfig,
    *,
    experiment: str,
    seed: int,
    device: str,
    earlier: Comparison | None = None,
    resume: bool = False,
) -> Iterator[Comparison]:
    """Train and evaluate every contender for every seed; yields the comparison after each training.

    Args:
        contenders: of one equation and generation.
        seed: of the bootstrap; data and trainings have `config.seeds`.
        device: "cpu" or "cuda".
        earlier: the comparison to go on from.
        resume: whether to. What it holds of the same configuration is not run again; methods and seeds that are not
            asked for now are kept.

    Returns:
        (yields) the content of comparison.json, see docs/comparison.md.

    Raises:
        ResumeError: the earlier comparison has another configuration.
        ValueError, FloatingPointError: the data of a seed cannot be made; nothing is trained then.
        LostProcessError: one of several processes was ended, by the system for instance.
    """
    runs, trainings = _go_on(contenders, config, earlier, resume)
    done = {(run["training"], run["seed"]) for run in runs}
    pending = [(c, s) for s in config.seeds for c in contenders if (c.name, s) not in done]
    order = {name: i for i, name in enumerate(trainings)}
    shared = {key: _plain(contenders[0].sections[key]) for key in _SHARED}

    def state() -> Comparison:
        runs.sort(key=lambda run: (order[run["training"]], run["seed"]))  # stable: the models of one training
        content: Comparison = {
            "experiment": experiment,
            "equation": shared["equation"]["name"],
            "seeds": sorted({run["seed"] for run in runs} | set(config.seeds)),
            "configuration_digest": _digest([shared, trainings]),
            "configuration": shared,
            "trainings": trainings,
            "runs": list(runs),
            "summary": summarise(runs, trainings, draws=config.draws, confidence=config.confidence, seed=seed),
        }
        return content

    # Simulations take a moment, trainings hours: the last seed's mistake is reported before the first training.
    with _quiet():
        for contender, s in pending:
            _data(contender, s)
    yield state()
    for i, records in enumerate(_results(pending, config.processes, device), 1):
        runs += records
        for record in records:
            outcome = f"nrmse {record['nrmse']:.4g}" if record["status"] == "finished" else record["reason"]
            log.info(
                "%d of %d: %s, seed %d: %s (%.1f s)",
                i,
                len(pending),
                record["method"],
                record["seed"],
                outcome,
                record["wall_seconds"],
            )
        yield state()


# Sections in which all agree.
_SHARED = ("equation", "generation")


def _go_on(
    contenders: Sequence[Contender], config: CompareConfig, earlier: Comparison | None, resume: bool
) -> tuple[list[Record], dict[str, Any]]:
    """The runs that need not be done again, and all trainings by name, with method and configuration.

    Raises:
        ResumeError: names each key that differs, with both values.
    """
    trainings = {
        c.name: {"method": c.method, "configuration": _plain({k: v for k, v in c.sections.items() if k not in _SHARED})}
        for c in contenders
    }
    if not resume:
        return [], trainings
    if earlier is None:
        log.info("No comparison to go on from: starting anew.")
        return [], trainings
    shared = _plain({key: contenders[0].sections[key] for key in _SHARED})
    changed = list(differences(earlier["configuration"], shared))
    for name in trainings.keys() & earlier["trainings"].keys():
        changed += differences(earlier["trainings"][name]["configuration"], trainings[name]["configuration"])
    if changed:
        # Several methods share a section.
        lines = dict.fromkeys(f"{key}: {old!r} in the comparison, {new!r} now" for key, old, new in changed)
        raise ResumeError(
            f"cannot go on with the comparison, the configuration has changed ({'; '.join(lines)}). Run with the "
            "comparison's values, or with resume=false to start anew."
        )
    runs = list(earlier["runs"])
    again = len({(r["training"], r["seed"]) for r in runs if r["training"] in trainings and r["seed"] in config.seeds})
    log.info("Going on with the comparison: %d of %d trainings are there.", again, len(contenders) * len(config.seeds))
    return runs, {**trainings, **{k: v for k, v in earlier["trainings"].items() if k not in trainings}}


def _results(pending: Sequence[tuple[Contender, int]], processes: int, device: str) -> Iterator[list[Record]]:
    """The records of each training, as they come."""
    if processes == 1 or len(pending) < 2:
        for contender, seed in pending:
            yield run(contender, seed, device)
        return
    context = multiprocessing.get_context("spawn")
    closed, close = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        min(processes, len(pending)),
        mp_context=context,
        initializer=_begin_worker,
        initargs=(torch.get_num_threads(), closed),
    )
    try:
        for future in as_completed([pool.submit(run, contender, seed, device) for contender, seed in pending]):
            yield future.result()
    except BaseException as error:
        # Trainings that run, or that a process has taken already, would go on to their ends.
        close.close()
        if isinstance(error, BrokenProcessPool):
            raise LostProcessError(
                "the process of a training has ended before it, for want of memory perhaps. Go on with resume=true, "
                f"and with compare.processes below {processes} if that is the reason."
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker(threads: int, closed: Connection) -> None:
    """As many threads as one process has, for the same numbers; and no life after the comparison's."""
    keep_freed_memory()
    gc.freeze()  # see `hyco.runtime.garbage`: what is there now is modules
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_comparison() -> None:
        wait([parent.sentinel, closed])
        os._exit(1)

    threading.Thread(target=end_with_comparison, daemon=True).start()


def run(contender: Contender, seed: int, device: str) -> list[Record]:
    """Train one contender for one seed, and evaluate its models on the simulations that it never saw.

    Returns:
        A record for each model, see docs/comparison.md. One that fails has `status` "failed" and its `reason`.

    Raises:
        ValueError, FloatingPointError: the data of this seed cannot be made.
    """
    with _quiet():
        equation, trajectories, config, observations = _data(contender, seed)
        begun = time.perf_counter()
        failure, models = None, {}
        try:
            models = _train(contender, equation, observations, seed, torch.device(device))
        except FAILURES as error:
            failure = error
        records = []
        for method, part in contender.results.items():
            record: Record = {"method": method, "training": contender.name, "seed": seed}
            try:
                if failure is not None:
                    raise failure
                states = trajectories.tensors["trajectories"]
                result = _evaluate(contender, part, models.get(part), equation, states, config, observations)
                record |= {"status": "finished", "reason": None, **result}
            except FAILURES as error:
                reason = f"{type(error).__name__}: {error}"
                record |= {"status": "failed", "reason": reason, "nrmse": None, "nrmse_all": None, "per_step": []}
                record |= {"parameters": {}, "training_seconds": None}
            records.append(record)
    seconds = time.perf_counter() - begun
    return [_finite({**record, "wall_seconds": seconds}) for record in records]


def _data(contender: Contender, seed: int) -> tuple[Equation, Bundle, ObservationConfig, Observations]:
    """What a contender learns from and is judged by: equation, simulations, what is measured of them and how.

    Raises:
        ValueError, FloatingPointError: they cannot be made; names the seed.
    """
    sections = contender.sections
    try:
        given = (json.dumps(sections.get(key, [])) for key in ("equation", "generation", "learnt"))
        equation, trajectories = _simulations(*given, seed)
        config = ObservationConfig.model_validate(sections["observation"])
        return equation, trajectories, config, observe(trajectories, config, seed)
    except (ValueError, FloatingPointError) as error:
        raise type(error)(f"the data of seed {seed}: {error}") from error


@lru_cache(maxsize=1)
def _simulations(equation: str, generation: str, learnt: str, seed: int) -> tuple[Equation, Bundle]:
    """The equation and its simulations, from JSON; those of one seed are kept for the methods that follow."""
    section, unknowns = json.loads(generation), _LEARNT.validate_python(json.loads(learnt))
    built = build_equation(resolve_simulated(json.loads(equation), section, seed, unknowns))
    return built, generate(built, GenerationConfig.model_validate(section), seed)


def _train(
    contender: Contender, equation: Equation, observations: Observations, seed: int, device: torch.device
) -> dict[str, EvaluatedModel]:
    """The final models by part, as the pipelines of the trainings make them."""
    sections = contender.sections
    common: dict[str, Any] = {"configuration": {**sections, "seed": seed}, "device": device}
    finals: dict[str, FinalModel] = {}
    if contender.method == "synthetic":
        network = SyntheticConfig.model_validate(sections["synthetic"])
        finals["synthetic"] = final_synthetic_model(_last(train_synthetic(observations, network, seed, **common)))
    elif contender.method == "physical":
        physical = PhysicalConfig.model_validate(sections["physical"])
        finals["physical"] = final_physical_model(_last(train_physical(equation, observations, physical, **common)))
    elif contender.method == "pinn":
        pinn = PinnConfig.model_validate(sections["pinn"])
        finals["synthetic"], finals["physical"] = train_pinn(equation, observations, pinn, seed, device=device)
    elif contender.method != "persistence":
        hybrid = HybridConfig.model_validate(sections["hybrid"])
        last = _last(HybridTrainer(equation, observations, hybrid, seed, **common).train())
        finals = {"synthetic": final_synthetic_model(last), "physical": final_physical_model(last)}
    return evaluated_models(finals, equation)


def _last(steps: Iterable[Step]) -> Bundle:
    """The last checkpoint of a training."""
    # Not a list: each checkpoint is a copy of all weights.
    return deque(steps, maxlen=1).pop()[0]


def _evaluate(
    contender: Contender,
    part: str,
    model: EvaluatedModel | None,
    equation: Equation,
    trajectories: Tensor,
    config: ObservationConfig,
    observations: Observations,
) -> Record:
    """Errors of one model, from the report's own functions.

    Raises:
        FloatingPointError: its rollout is not finite.
    """
    label = f"hybrid_{part}" if len(contender.results) > 1 else part
    models = {} if model is None else {label: model}
    tests = roll_out_methods(trajectories, config.test_sim, equation, models, observations.test_initial_states)
    seen = [*config.train_sim, *config.val_sim]
    starts = None if observations.initial_known else observations.initial_states
    others = roll_out_methods(trajectories, seen, equation, models, starts)
    true = {label: true_numbers(equation, _unknowns(contender))}
    entry = report("", 0, equation, "", tests, models, true)["methods"][label]
    whole = {name: torch.cat([tests[name], others[name]]) for name in ("truth", label)}
    per_step, _ = nrmse_per_step(whole[label], whole["truth"])
    return {
        "nrmse": entry["nrmse"]["mean"],
        "nrmse_all": sum(per_step) / len(per_step),
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


def _plain(value: Any) -> Any:
    """As it comes back from a file."""
    return json.loads(json.dumps(value))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: they are recorded as missing."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Training and evaluation of every method for every seed, one after the other or side by side."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
from phi import math as phi_math
from torch import Tensor

from hyco.baselines.pinn import PinnConfig, train_pinn
from hyco.comparison.config import CompareConfig, Contender
from hyco.comparison.data import Data, data_of
from hyco.comparison.plain import digest_of, finite, plain
from hyco.comparison.summary import summarise
from hyco.equations.equation import Equation
from hyco.evaluation import EvaluatedModel, evaluated_models, roll_out_methods, roll_out_to_measurements
from hyco.evaluation.models import FinalModel
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.metrics import nrmse_per_step
from hyco.observations import Observations
from hyco.parameters import LearnableParameter
from hyco.report import report, true_numbers
from hyco.runtime.memory import keep_freed_memory
from hyco.runtime.storage import Bundle, digest
from hyco.training.checkpoints import OBSERVATIONS, ResumeError, differences
from hyco.training.config import SyntheticConfig
from hyco.training.final import final_initial_states, final_physical_model, final_synthetic_model
from hyco.training.physical import PhysicalConfig, train_physical
from hyco.training.run import Step
from hyco.training.synthetic import train_synthetic

log = logging.getLogger(__name__)

# How a training may fail without ending the comparison: it is recorded as failed, with the reason.
FAILURES = (phi_math.NotConverged, phi_math.Diverged, FloatingPointError)

# What is kept of a parameter's estimate.
_KEPT = ("true", "estimate", "std", "interval", "relative_error", "pull", "identifiable")


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
    measured: Bundle | None = None,
    earlier: Comparison | None = None,
    resume: bool = False,
) -> Iterator[Comparison]:
    """Train and evaluate every contender for every seed; yields the comparison after each training.

    Args:
        contenders: of one equation and generation.
        seed: of the bootstrap; data and trainings have `config.seeds`.
        device: "cpu" or "cuda".
        measured: observations that were measured: all trainings learn from these, whatever their seeds, and are judged
            as `roll_out_to_measurements` says; None: each seed makes simulations of its own.
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
    shared = plain({key: contenders[0].sections[key] for key in _SHARED})
    if measured is not None:
        shared |= {OBSERVATIONS: digest(measured)}
    runs, trainings = _go_on(contenders, shared, config, earlier, resume)
    done = {(run["training"], run["seed"]) for run in runs}
    pending = [(c, s) for s in config.seeds for c in contenders if (c.name, s) not in done]
    order = {name: i for i, name in enumerate(trainings)}

    def state() -> Comparison:
        runs.sort(key=lambda run: (order[run["training"]], run["seed"]))  # stable: the models of one training
        content: Comparison = {
            "experiment": experiment,
            "equation": shared["equation"]["name"],
            "seeds": sorted({run["seed"] for run in runs} | set(config.seeds)),
            "configuration_digest": digest_of([shared, trainings]),
            "configuration": shared,
            "trainings": trainings,
            "runs": list(runs),
            "summary": summarise(runs, trainings, draws=config.draws, confidence=config.confidence, seed=seed),
        }
        return content

    # Simulations take a moment, trainings hours: the last seed's mistake is reported before the first training.
    with _quiet():
        for contender, s in pending:
            data_of(contender, s, measured)
    yield state()
    for i, records in enumerate(_results(pending, config.processes, device, measured), 1):
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
    contenders: Sequence[Contender],
    shared: dict[str, Any],
    config: CompareConfig,
    earlier: Comparison | None,
    resume: bool,
) -> tuple[list[Record], dict[str, Any]]:
    """The runs that need not be done again, and all trainings by name, with method and configuration.

    Raises:
        ResumeError: names each key that differs, with both values.
    """
    trainings = {
        c.name: {"method": c.method, "configuration": plain({k: v for k, v in c.sections.items() if k not in _SHARED})}
        for c in contenders
    }
    if not resume:
        return [], trainings
    if earlier is None:
        log.info("No comparison to go on from: starting anew.")
        return [], trainings
    changed = list(differences(earlier["configuration"], shared))
    for name in trainings.keys() & earlier["trainings"].keys():
        changed += differences(earlier["trainings"][name]["configuration"], trainings[name]["configuration"])
    if changed:
        # Several methods share a section.
        lines = dict.fromkeys(
            f"{key}: other ones than then" if key == OBSERVATIONS else f"{key}: {old!r} in the comparison, {new!r} now"
            for key, old, new in changed
        )
        raise ResumeError(
            f"cannot go on with the comparison, the configuration has changed ({'; '.join(lines)}). Run with the "
            "comparison's values, or with resume=false to start anew."
        )
    runs = list(earlier["runs"])
    again = len({(r["training"], r["seed"]) for r in runs if r["training"] in trainings and r["seed"] in config.seeds})
    log.info("Going on with the comparison: %d of %d trainings are there.", again, len(contenders) * len(config.seeds))
    return runs, {**trainings, **{k: v for k, v in earlier["trainings"].items() if k not in trainings}}


def _results(
    pending: Sequence[tuple[Contender, int]], processes: int, device: str, measured: Bundle | None = None
) -> Iterator[list[Record]]:
    """The records of each training, as they come."""
    if processes == 1 or len(pending) < 2:
        for contender, seed in pending:
            yield run(contender, seed, device, measured)
        return
    context = multiprocessing.get_context("spawn")
    closed, close = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        min(processes, len(pending)),
        mp_context=context,
        initializer=_begin_worker,
        initargs=(torch.get_num_threads(), closed, measured),  # once per process, not with each training
    )
    try:
        futures = [pool.submit(_run_in_worker, contender, seed, device) for contender, seed in pending]
        for future in as_completed(futures):
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


# In a process of its own: what was measured, see `compare`.
_measured: Bundle | None = None


def _begin_worker(threads: int, closed: Connection, measured: Bundle | None) -> None:
    """As many threads as one process has, for the same numbers; what was measured; no life after the comparison's."""
    global _measured
    _measured = measured
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the comparison ends its processes
    keep_freed_memory()
    gc.freeze()  # see `hyco.runtime.garbage`: what is there now is modules
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_comparison() -> None:
        wait([parent.sentinel, closed])
        os._exit(1)

    threading.Thread(target=end_with_comparison, daemon=True).start()


def _run_in_worker(contender: Contender, seed: int, device: str) -> list[Record]:
    return run(contender, seed, device, _measured)


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
        data = data_of(contender, seed, measured)
        begun = time.perf_counter()
        models: dict[str, EvaluatedModel] = {}
        failure = starts = None
        try:
            models, starts = _train(contender, data.equation, data.observations, seed, torch.device(device))
        except FAILURES as error:
            failure = error
        records = []
        for method, part in contender.results.items():
            record: Record = {"method": method, "training": contender.name, "seed": seed}
            try:
                if failure is not None:
                    raise failure
                result = _evaluate(contender, part, models.get(part), data, starts)
                record |= {"status": "finished", "reason": None, **result}
            except FAILURES as error:
                reason = f"{type(error).__name__}: {error}"
                record |= {"status": "failed", "reason": reason, "nrmse": None, "nrmse_all": None, "per_step": []}
                record |= {"parameters": {}, "training_seconds": None}
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

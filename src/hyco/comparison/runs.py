"""Every method for every seed, one after the other, side by side or on a cluster, and what came of all of them."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hyco.comparison.config import CompareConfig, Contender
from hyco.comparison.one_run import Record, lost
from hyco.comparison.plain import digest_of, plain
from hyco.comparison.summary import summarise
from hyco.compute import ComputeConfig, ComputeError, Engine, Lost, Piece, open_engine, outcomes
from hyco.runtime.storage import Bundle, digest, write_bundle
from hyco.training.checkpoints import OBSERVATIONS, ResumeError, differences

log = logging.getLogger(__name__)

Comparison = dict[str, Any]

# Sections in which all agree.
_SHARED = ("equation", "generation")
# Sections that the data are made of.
_OF_DATA = ("equation", "generation", "observation")
# Up to so many records the comparison is yielded after every training, beyond after a tenth more of them: it is
# summed up and written as a whole each time. Nothing is lost in between: the folder has each result.
_EVERY_TIME = 200


def compare(
    contenders: Sequence[Contender],
    config: CompareConfig,
    *,
    experiment: str,
    seed: int,
    device: str,
    compute: ComputeConfig | None = None,
    folder: Path | None = None,
    measured: Bundle | None = None,
    earlier: Comparison | None = None,
    resume: bool = False,
) -> Iterator[Comparison]:
    """Train and evaluate every contender for every seed; yields the comparison as trainings end.

    Args:
        contenders: of one equation and generation.
        seed: of the bootstrap; data and trainings have `config.seeds`.
        device: "cpu" or "cuda".
        compute: where trainings are done; None: here, one after the other. No number depends on it but times.
        folder: where each training's result is kept as soon as it is there, until the comparison is complete; workers
            of other machines have to see it under the same path where `measured` is given. None: a temporary one.
        measured: observations that were measured: all trainings learn from these, whatever their seeds, and are judged
            as `roll_out_to_measurements` says; None: each seed makes simulations of its own.
        earlier: the comparison to go on from.
        resume: whether to. What it holds of the same configuration is not run again, nor what the folder holds; methods
            and seeds that are not asked for now are kept.

    Returns:
        (yields) the content of comparison.json, see docs/comparison.md.

    Raises:
        ResumeError: the earlier comparison has another configuration.
        ValueError, FloatingPointError: the data of a seed cannot be made; nothing is trained then.
        ComputeError: there is no such cluster, or it is gone.
        PieceError: a training has failed in a way that is no result.
    """
    shared = plain({key: contenders[0].sections[key] for key in _SHARED})
    if measured is not None:
        shared |= {OBSERVATIONS: digest(measured)}
    runs, trainings = _go_on(contenders, shared, config, earlier, resume)
    done = {(run["training"], run["seed"]) for run in runs}
    pending = [(c, s) for s in config.seeds for c in contenders if (c.name, s) not in done]
    order = {name: i for i, name in enumerate(trainings)}
    where = compute or ComputeConfig()
    if where.is_elsewhere:  # the longest first, so that none is begun when the others end: hybrids train two models
        pending.sort(key=lambda one: -len(one[0].results))

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

    if not pending:
        yield state()
        return
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        file = None if measured is None else _written(measured, folder)
        engine = stack.enter_context(open_engine(where))
        _require_data(engine, pending, file)
        if not resume:  # not before it is known that the new one can be made
            _clear(folder, file)
        yield state()
        left, shown = len(pending), len(runs)
        pieces = [_piece(contender, s, device, file) for contender, s in pending]
        for i, result in outcomes(engine, pieces, folder=folder):
            records = lost(*pending[i], result.reason) if isinstance(result, Lost) else result
            runs += records
            left -= 1
            for record in records:
                _tell(record, len(pending) - left, len(pending))
            if left == 0 or len(runs) <= _EVERY_TIME or len(runs) >= 1.1 * shown:
                shown = len(runs)
                yield state()
        if not any(record["status"] == "lost" for record in runs):
            _clear(folder)  # the comparison has all of it


def _piece(contender: Contender, seed: int, device: str, measured: str | None) -> Piece:
    arguments = {"contender": asdict(contender), "seed": seed, "device": device, "measured": measured}
    return Piece("hyco.comparison.one_run:run_piece", arguments, f"{contender.name}, seed {seed}")


def _require_data(engine: Engine, pending: Sequence[tuple[Contender, int]], measured: str | None) -> None:
    """Make the data of all seeds: simulations take a moment, trainings hours.

    Raises:
        ValueError, FloatingPointError: those of a seed cannot be made.
        ComputeError: nobody could make them.
    """
    checks: dict[str, Piece] = {}
    for contender, seed in pending:
        sections = {key: contender.sections[key] for key in _OF_DATA if key in contender.sections}
        arguments = {"sections": sections, "seed": seed, "measured": measured}
        same = [sections, None if measured else seed]
        checks.setdefault(
            digest_of(same), Piece("hyco.comparison.one_run:check_data", arguments, f"data of seed {seed}")
        )
    pieces = list(checks.values())
    for i, result in outcomes(engine, pieces):
        if isinstance(result, Lost):
            raise ComputeError(f"the {pieces[i].label} could not be made: {result.reason}")


def _written(measured: Bundle, folder: Path) -> str:
    """The file that workers read what was measured from; its name changes with its content."""
    path = folder.absolute() / f"measured-{digest(measured)}.safetensors"
    if not path.exists():
        write_bundle(path, measured)
    return str(path)


def _clear(folder: Path, but: str | None = None) -> None:
    """Remove what a comparison has left, as far as nobody holds it open, but for one file."""
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif str(path) != but:
            with suppress(OSError):
                path.unlink()
    with suppress(OSError):  # it is not empty
        folder.rmdir()


def _tell(record: Record, number: int, count: int) -> None:
    """A line for a model that is there."""
    outcome = f"nrmse {record['nrmse']:.4g}" if record["status"] == "finished" else record["reason"]
    seconds = "" if record["wall_seconds"] is None else f" ({record['wall_seconds']:.1f} s)"
    log.info("%d of %d: %s, seed %d: %s%s", number, count, record["method"], record["seed"], outcome, seconds)


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
    runs = [run for run in earlier["runs"] if run["status"] != "lost"]  # those are begun again
    again = len({(r["training"], r["seed"]) for r in runs if r["training"] in trainings and r["seed"] in config.seeds})
    log.info("Going on with the comparison: %d of %d trainings are there.", again, len(contenders) * len(config.seeds))
    return runs, {**trainings, **{k: v for k, v in earlier["trainings"].items() if k not in trainings}}

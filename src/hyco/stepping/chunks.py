"""Simulations in chunks, each a piece of work: see `hyco.compute`."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyco.compute import ComputeConfig, ComputeError, Engine, Lost, Piece, open_engine, outcomes
from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.runtime.mapped import begin_file, open_file, write_rows
from hyco.runtime.storage import Bundle, DamagedFileError, digest, read_bundle, write_bundle
from hyco.stepping.generation import GenerationConfig, generate, rolled_out

_STARTS, _STATES = "initial_states", "trajectories"


def generate_in_chunks(
    equation: dict[str, Any], config: GenerationConfig, seed: int, compute: ComputeConfig, folder: Path
) -> Bundle:
    """What `generate` makes, by the workers of `compute`, to the bit; with `compute.on_disk` it stays in a file.

    Args:
        equation: the section.
        config: with `chunk`.
        seed: of the initial states.
        compute: where each chunk is made.
        folder: of initial states and chunks, which workers have to see under the same path. What a run has left that
            was killed is used; in the end it is removed.

    Raises:
        ValueError, FloatingPointError: see `hyco.stepping.generation.simulated`.
        ComputeError: there is no such cluster, it is gone, or a chunk could not be made.
    """
    with open_engine(compute) as engine:

        def make(own: Equation, starts: Tensor) -> Tensor:
            return _made(engine, equation, own, starts, config, folder, on_disk=compute.on_disk)

        bundle = generate(build_equation(equation), config, seed, make)
    if compute.on_disk:  # until it gets its name
        return replace(bundle, file=_file_of(folder), unnamed=True)
    shutil.rmtree(folder, ignore_errors=True)
    return bundle


def simulate_chunk(
    equation: dict[str, Any],
    starts: str,
    first: int,
    last: int,
    steps: int,
    execution: Any,
    file: str,
    rows: bool = False,
) -> None:
    """Simulations of one chunk into a file, as a piece of work.

    Args:
        equation: the section, with numbers for its ranges.
        starts: the file of all initial states.
        first, last: which of them, the last one excluded.
        steps, execution: of the section `generation`.
        file: of the result.
        rows: whether that is the file of all chunks, which has a place for each.
    """
    if rows:
        states = read_bundle(Path(starts)).tensors[_STARTS][first:last]
        write_rows(Path(file), _STATES, first, rolled_out(build_equation(equation), states, steps, execution))
        return
    with suppress(FileNotFoundError, DamagedFileError):
        read_bundle(Path(file))  # of a run that was ended: it is whole
        return
    states = read_bundle(Path(starts)).tensors[_STARTS][first:last]
    write_bundle(Path(file), Bundle({_STATES: rolled_out(build_equation(equation), states, steps, execution)}))


def _made(
    engine: Engine,
    section: dict[str, Any],
    equation: Equation,
    starts: Tensor,
    config: GenerationConfig,
    folder: Path,
    *,
    on_disk: bool,
) -> Tensor:
    """All trajectories of an equation whose ranges are numbers, by chunks."""
    # What was open in the section: ranges, and a scheme that depends on them.
    given, own = build_equation(section).config, equation.config
    chosen = {key: value for key in type(own).model_fields if (value := getattr(own, key)) != getattr(given, key)}
    bundle = Bundle({_STARTS: starts})
    source = folder.absolute() / f"starts-{digest(bundle)}.safetensors"
    if not source.exists():
        write_bundle(source, bundle)
    size = config.chunk or len(starts)
    pieces, files = [], []
    whole, done = _file_of(folder), None
    if on_disk:
        done = folder / f"done-{digest(Bundle({}, {'equation': {**section, **chosen}, 'starts': source.name}))}"
        _begin(whole, done, (len(starts), config.steps + 1, *starts.shape[1:]), starts.dtype)
    for first in range(0, len(starts), size):
        last = min(first + size, len(starts))
        arguments = {
            "equation": {**section, **chosen},
            "starts": str(source),
            "first": first,
            "last": last,
            "steps": config.steps,
            "execution": config.execution,
        }
        label = f"simulations {first} to {last - 1}"
        if on_disk:
            arguments |= {"file": str(whole.absolute()), "rows": True}
            pieces.append(Piece(f"{__name__}:simulate_chunk", arguments, label))
            continue
        key = Piece("", arguments, "").key
        files.append(folder.absolute() / key[:2] / f"{key[2:]}.safetensors")
        arguments["file"] = str(files[-1])
        pieces.append(Piece(f"{__name__}:simulate_chunk", arguments, label))
    # A chunk's own file says that it is done; in the file of all a result of its own does.
    for i, result in outcomes(engine, pieces, folder=done):
        if isinstance(result, Lost):
            raise ComputeError(f"{pieces[i].label} could not be made: {result.reason}")
    if on_disk:
        return open_file(whole)[0][_STATES]
    return torch.cat([read_bundle(file).tensors[_STATES] for file in files])


def _begin(whole: Path, done: Path, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Make the file of all chunks, unless a run that was ended has left it: results in `done` are of what it holds."""
    if whole.exists() and done.exists() and open_file(whole)[0][_STATES].shape == shape:
        return
    for former in whole.parent.glob("done-*"):
        shutil.rmtree(former)
    begin_file(whole, {_STATES: (dtype, shape)})
    done.mkdir()


def _file_of(folder: Path) -> Path:
    """The file of all chunks, until it gets its name."""
    return folder / "trajectories.safetensors"

"""Simulations in chunks, each a piece of work: see `hyco.compute`."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyco.compute import ComputeConfig, ComputeError, Engine, Lost, Piece, open_engine, outcomes
from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.runtime.storage import Bundle, DamagedFileError, digest, read_bundle, write_bundle
from hyco.stepping.generation import GenerationConfig, generate, rolled_out

_STARTS, _STATES = "initial_states", "trajectories"


def generate_in_chunks(
    equation: dict[str, Any], config: GenerationConfig, seed: int, compute: ComputeConfig, folder: Path
) -> Bundle:
    """What `generate` makes, by the workers of `compute`, to the bit.

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
            return _made(engine, equation, own, starts, config, folder)

        bundle = generate(build_equation(equation), config, seed, make)
    shutil.rmtree(folder, ignore_errors=True)
    return bundle


def simulate_chunk(
    equation: dict[str, Any], starts: str, first: int, last: int, steps: int, execution: Any, file: str
) -> None:
    """Simulations of one chunk into a file, as a piece of work.

    Args:
        equation: the section, with numbers for its ranges.
        starts: the file of all initial states.
        first, last: which of them, the last one excluded.
        steps, execution: of the section `generation`.
        file: of the result.
    """
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
        key = Piece("", arguments, "").key
        files.append(folder.absolute() / key[:2] / f"{key[2:]}.safetensors")
        arguments["file"] = str(files[-1])
        pieces.append(Piece(f"{__name__}:simulate_chunk", arguments, f"simulations {first} to {last - 1}"))
    for i, result in outcomes(engine, pieces):  # a chunk's own file says that it is done
        if isinstance(result, Lost):
            raise ComputeError(f"{pieces[i].label} could not be made: {result.reason}")
    return torch.cat([read_bundle(file).tensors[_STATES] for file in files])

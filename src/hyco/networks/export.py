"""A network as a program of `torch.export`: a file that torch alone loads and runs, normalisation included.

A network that steps states takes `[B, C, *space]` in units of the channels and gives the state one `dt` later, as such;
a network of coordinates takes positions `[N, d]` and, unless the problem is static, times `[N]`, and gives the channels
there, `[N, C]`. Numbers are float64 outside and float32 inside, as in a rollout; B and N are free.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyco.networks.coordinate_model import CoordinateModel
from hyco.networks.network_model import NetworkModel
from hyco.networks.synthetic import SyntheticModel

# The entry of the file that describes the network, for `extra_files` of `torch.export.load`.
DESCRIPTION = "hyco.json"


class ExportError(ValueError):
    """A network that cannot be exported; the message says why."""


class _Step(nn.Module):
    """One step of a state."""

    def __init__(self, model: SyntheticModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, states: Tensor) -> Tensor:
        """`[B, C, *space]` to `[B, C, *space]`."""
        return self.model.rollout_with_gradient(states, 1)[:, 0]


class _Places(nn.Module):
    """The values at positions and times."""

    def __init__(self, model: CoordinateModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, positions: Tensor, times: Tensor | None = None) -> Tensor:
        """`[N, d]` and `[N]` to `[N, C]`."""
        inputs = self.model.space_inputs(positions)
        if times is not None:
            inputs = self.model.with_time(inputs, times / self.model.dt)
        return self.model.mean + self.model.std * self.model.at(inputs)


def export_network(model: NetworkModel, path: Path, **description: Any) -> None:
    """Write a network as a program, so that a reader sees the old file or the new one.

    Args:
        model: the network, with its statistics.
        path: of the file, with the ending .pt2.
        **description: JSON values that go into the entry `hyco.json` beside the network's own.

    Raises:
        ExportError: the network corrects a physical step, it holds something that has no exported form, or the file has
            another ending.
    """
    if path.suffix != ".pt2":
        raise ExportError(f"{path}: an exported program has the ending .pt2")
    # A copy: its outputs need no gradient, and the model stays as it is.
    module, example, free = _program_of(copy.deepcopy(model).eval().requires_grad_(False))
    try:
        program = torch.export.export(module, example, dynamic_shapes=free)
    except Exception as error:  # it may fail in any way on a network of a user's own
        reason = str(error).strip().splitlines()[0]
        raise ExportError(f"the network {model.config.name} has no exported form: {reason}") from error
    program.example_inputs = None  # torch would pickle them into the file
    about = {**model.describe(), "channels": list(model.layout.channels), **description}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part.pt2")
    try:
        torch.export.save(program, temporary, extra_files={DESCRIPTION: json.dumps(about)})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _program_of(model: NetworkModel) -> tuple[nn.Module, tuple[Tensor, ...], Any]:
    """The module to record, inputs to record it with, and which of their axes are free."""
    # Two samples: torch takes one for a number that never changes.
    free = {0: torch.export.Dim("batch", min=1)}
    if isinstance(model, CoordinateModel):
        positions = model.mean.new_zeros((2, model.layout.grid.dimensions))
        if model.static:
            return _Places(model), (positions,), (free,)
        return _Places(model), (positions, positions[:, 0].clone()), (free, free)
    if not isinstance(model, SyntheticModel):
        raise ExportError(f"{type(model).__name__} has no exported form")
    if model.base is not None:
        raise ExportError(
            "the network corrects a physical step, and its program would need the solver: it has no exported form; "
            "predict with hyco"
        )
    states = model.mean.new_zeros((2, len(model.layout.channels), *model.layout.shape))
    return _Step(model), (states,), (free,)

"""The measurement of simulations that are larger than memory: part by part, from one file into another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyco.observations.cells import CellsMode
from hyco.observations.config import ObservationConfig
from hyco.observations.measure import Instrument
from hyco.observations.observations import Observations
from hyco.observations.points import SamplesSpace
from hyco.runtime.mapped import (
    OnDiskError,
    begin_file,
    is_mapped,
    open_file,
    parts,
    release,
    rows_of,
    slices,
    write_rows,
)
from hyco.runtime.memory import memory_bytes
from hyco.runtime.random_streams import NormalDraws, stream
from hyco.runtime.storage import Bundle, UnwritableError


def not_on_disk(config: ObservationConfig) -> str | None:
    """Why what such a section measures cannot stay in a file; None: it can."""
    on_cells = isinstance(config.space, CellsMode) or (
        isinstance(config.space, SamplesSpace) and config.space.at == "cells"
    )
    if on_cells and config.initial_state != "observed":
        return None
    return (
        "data on disk are measured in cells, with observation.initial_state exact or full: choose these, or "
        "compute.on_disk: false"
    )


def observe_on_disk(
    trajectories: Bundle,
    config: ObservationConfig,
    seed: int,
    folder: Path,
    *,
    admissible: Callable[[Tensor], Tensor] = lambda states: states,
    begin: Callable[[Tensor, Tensor], Tensor] = lambda states, sigma: states,
) -> Bundle:
    """What `hyco.observations.observe` measures, to the bit, in a file.

    Args:
        trajectories: tensor `trajectories` `[S, T+1, C, *space]` with its layout.
        config: of the experiment, in which cells are measured and the initial states are exact or measured in full.
        seed: of the run.
        folder: where the file is made; it is moved from there when it is saved.
        admissible: of states `[…, C, *space]` the closest that the equation's fields may have, for initial states that
            are measured ones.
        begin: what validation and test simulations begin with, of their measured states and of σ of the channels `[C]`.

    Raises:
        ValueError: see `observe`; or the configuration asks for what is made in memory alone.
        UnwritableError: the file cannot be written.
    """
    if (reason := not_on_disk(config)) is not None:
        raise ValueError(reason)
    instrument = Instrument.of(trajectories, config, seed)
    truth, simulations = trajectories.tensors["trajectories"], [*config.train_sim, *config.val_sim]
    shape, path = (len(simulations), *truth.shape[1:]), folder / "observations.safetensors"
    shapes = {
        "values": (torch.float64, shape),
        "mask": (torch.bool, shape),
        "initial_states": (torch.float64, (shape[0], *shape[2:])),
    }
    known, estimated = {"noise_std": instrument.noise_std}, False
    if config.initial_state == "full" and (starts := instrument.test_starts(truth)) is not None:
        known["test_initial_states"] = begin(starts, instrument.noise_std)
        estimated = not torch.equal(known["test_initial_states"], admissible(starts))
    shapes |= {name: (torch.float64, tuple(tensor.shape)) for name, tensor in known.items()}
    if config.window_start == "truth":
        shapes["window_states"] = (torch.float64, shape)
    try:
        begin_file(path, shapes)
        for name, tensor in known.items():
            write_rows(path, name, 0, tensor)
        anything = False
        noise = NormalDraws(stream(seed, "noise"), torch.Size(shape).numel(), truth.dtype)
        for part in slices(len(simulations), truth[0].numel()):
            states = rows_of(truth, simulations[part])
            measured = instrument.measure(states, simulations[part], noise)
            initial = states[:, 0] if measured.whole is None else measured.whole
            begun = initial
            if config.initial_state != "exact":
                trained = max(0, len(config.train_sim) - part.start)
                judged = initial[trained:]
                own = [begin(judged, instrument.noise_std)] if len(judged) else []
                estimated = estimated or any(not torch.equal(admissible(judged), states) for states in own)
                begun = torch.cat([admissible(initial[:trained]), *own])
            rows = {"values": measured.values, "mask": measured.mask, "initial_states": begun}
            if "window_states" in shapes:
                rows["window_states"] = torch.cat([initial[:, None], states[:, 1:]], dim=1)
            for name, tensor in rows.items():
                write_rows(path, name, part.start, tensor)
            anything = anything or bool(measured.mask[:, 1:].any())
            release(truth)
    except OSError as error:
        raise UnwritableError(path, error) from error
    if not anything:
        raise ValueError("observation.space and observation.time leave nothing observed after t = 0")
    tensors, _ = open_file(path)
    observations = Observations(
        values=tensors["values"],
        mask=tensors["mask"],
        initial_states=tensors["initial_states"],
        noise_std=tensors["noise_std"],
        window_states=tensors.get("window_states"),
        test_initial_states=tensors.get("test_initial_states"),
        train=list(range(len(config.train_sim))),
        val=list(range(len(config.train_sim), len(simulations))),
        layout=instrument.layout,
        dt=instrument.dt,
        initial_state=config.initial_state,
        interpolation=config.interpolation,
        starts_estimated=estimated,
    )
    return replace(observations.to_bundle(), file=path, unnamed=True)


def counts(observations: Observations) -> Tensor:
    """How many values were measured of each state of the training simulations, `[S, T+1]`."""
    return torch.cat([part.flatten(2).sum(dim=2) for (part,) in parts(rows_of(observations.mask, observations.train))])


def in_memory(observations: Observations) -> Observations:
    """The same, read into memory as a whole where they stay in a file.

    Raises:
        OnDiskError: this machine has not so much.
    """
    if not is_mapped(observations.values):
        return observations
    own = {name: value for name, value in vars(observations).items() if isinstance(value, Tensor)}
    need, there = sum(value.nbytes for value in own.values()), memory_bytes()
    if there is not None and need > there:
        raise OnDiskError(
            f"the observations take {need / 2**30:.3g} GB, this machine has {there / 2**30:.3g} GB: only a network "
            "that steps states can be trained, alone, on data that stay on disk; name fewer simulations in "
            "observation.train_sim"
        )
    read: dict[str, Any] = {name: value.clone() for name, value in own.items()}
    for value in own.values():
        release(value)
    return replace(observations, **read)

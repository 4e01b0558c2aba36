"""What an experiment trains on what, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hyco.cli.cells import grid_words
from hyco.cli.cost import duration, network_seconds, physical_seconds, weight_count
from hyco.config import Configuration, parse
from hyco.config.rules.memory import file_sizes, sizes
from hyco.equations.registry import build_equation, model_equation
from hyco.inversion.open_ranges import filled_ranges
from hyco.measurements import columns
from hyco.measurements.config import ESTIMATE
from hyco.observations import Observations
from hyco.stepping.ranges import resolve_simulated
from hyco.training.measured import measured_observations
from hyco.walls.boundary import in_short

if TYPE_CHECKING:
    import xarray as xr

    from hyco.equations.equation import Equation

# Numbers of simulations that a line lists.
_LISTED = 8


def of_measurements(parameters: Mapping[str, Any], measured: xr.Dataset) -> Iterator[str]:
    """An experiment that reads a file.

    Args:
        parameters: completed and valid.
        measured: what the file holds.

    Raises:
        hyco.observations.checks.MeasurementError: something is wrong with it: a line for each.
    """
    sections = (parameters["equation"], parameters["measurements"], parameters["observation"], parameters["seed"])
    observations = Observations.from_bundle(measured_observations(measured, *sections))
    c = parse(parameters)
    equation = build_equation(c.equation)
    ranges = filled_ranges(equation, c.physical.equation, observations, c.physical.learnable_parameters)
    equation = model_equation(equation, ranges)
    yield f"{c.experiment}: measurements in {parameters['measurements']['file']}"
    yield from _values(c, observations, measured)
    yield from _problem(c, equation)
    measured_at = observations.mask if observations.heldout is None else observations.mask | observations.heldout
    seen = measured_at.transpose(0, 1).flatten(1).any(dim=1).nonzero().flatten()
    if not c.equation.is_static:
        latest = f"the last at t = {c.equation.dt * int(seen[-1]):.6g}"
        yield f"times:     {len(seen)} of {observations.steps + 1} states have measurements, {latest}{_empty(seen)}"
    read = (
        "cells of the grid" if observations.on_grid else f"points, read by {observations.interpolation} interpolation"
    )
    yield f"places:    {read}"
    yield from _unknown(c, observations.initial_state, estimated=observations.starts_estimated)
    yield from grid_words(c, equation, observations)
    yield from _judges(c, observations)
    yield from _cost(c, equation, len(observations.train), observations.initial_known)


def of_simulations(parameters: Mapping[str, Any]) -> Iterator[str]:
    """An experiment that simulates what it measures."""
    c = parse(parameters)
    sections = (parameters["equation"], parameters["generation"], parameters["seed"])
    equation = build_equation(resolve_simulated(*sections, c.physical.learnable_parameters))
    o, g = c.observation, c.generation
    yield f"{c.experiment}: {g.simulations} simulations of {g.steps} steps"
    noise = {"absolute": "in units of the channels", "std": "of the standard deviation", "max": "of the largest value"}
    yield f"noise:     {o.noise:g} {noise[o.noise_reference]}"
    yield from _problem(c, equation)
    seen = o.time.indices(g.steps)
    yield f"times:     {len(seen)} of {g.steps + 1} states are measured, the last at t = {c.equation.dt * seen[-1]:.6g}"
    keys = [f", {k} {v}" for k, v in o.space.model_dump(exclude={"mode"}).items() if isinstance(v, int | float)]
    yield f"places:    {o.space.mode}{''.join(keys)}, read by {o.interpolation} interpolation where between cells"
    # Of states measured in places it is known only once they are.
    estimated = o.initial_state == "full" and o.noise > 0 and bool(o.val_sim or o.test_sim)
    yield from _unknown(c, o.initial_state, estimated=estimated)
    yield from _judges(c, None)
    if c.compute.on_disk:
        files, held = file_sizes(c, equation), sizes(c, equation)
        words = (", ".join(f"{size / 2**30:.3g} GB of {name}" for name, size in part.items()) for part in (files, held))
        yield "on disk:   {}; at least in memory: {}".format(*words)
    yield from _cost(c, equation, len(o.train_sim), o.initial_state == "exact")


def _values(c: Configuration, observations: Observations, measured: xr.Dataset) -> Iterator[str]:
    """Of each channel what is used, what is left out and why, its range, and its noise."""
    assert c.measurements is not None
    layout = observations.layout
    kept = observations.mask if observations.heldout is None else observations.mask | observations.heldout
    for channel in c.measurements.fields:
        i = layout.channels.index(channel)
        names = c.measurements.columns_of(channel)
        raw = np.concatenate([columns.numbers(measured, name).to_numpy().ravel() for name in names])
        missing, used = int(np.isnan(raw).sum()), int(kept[:, :, i].sum())
        values = observations.values[:, :, i][kept[:, :, i]]
        left_out = {
            "missing or not kept" if c.measurements.keep else "missing": missing,
            "at walls or of other simulations": raw.size - missing - used,
        }
        why = "".join(f", {n} {what}" for what, n in left_out.items() if n > 0)
        sigma = float(observations.noise_std[i])
        noise = f"σ {sigma:.3g}" if sigma else "σ from the residuals"
        if not sigma and c.measurements.stds.get(channel, ESTIMATE) != ESTIMATE:
            noise = "no noise"
        yield (
            f"{channel}: {used} of {raw.size} values of {', '.join(names)} used{why}; {float(values.min()):.4g} to "
            f"{float(values.max()):.4g}, {noise}"
        )
    for channel in layout.channels:
        if channel not in c.measurements.fields:
            yield f"{channel}: not measured"


def _empty(seen: Tensor) -> str:
    """Why states between those that have measurements `[n]` have none, where that goes for all alike."""
    apart = sorted(set(seen.diff().tolist()))
    if len(apart) != 1 or apart[0] == 1:
        return ""
    return f"; dt is 1/{apart[0]} of the time between measurements, so that the states between have none"


def _problem(c: Configuration, equation: Equation) -> Iterator[str]:
    axes = [f"{a} {d.lower:g} to {d.lower + d.size:g} in {d.resolution} cells" for a, d in c.equation.domain.items()]
    yield f"equation:  {c.equation.name}, {', '.join(axes)}, boundary {_plain(c.equation.boundary)}"
    for title, text in equation.described():
        yield f"{title + ':':<10} {text}"
    if c.physical.equation:
        own = model_equation(equation, c.physical.equation)
        for title, text in own.described():
            yield f"{'physics:':<10} {title} {text}"
    if not c.equation.is_static:
        cut = f", {equation.substeps} sub-steps each" if equation.substeps > 1 else ""
        yield f"dt:        {c.equation.dt:.6g}, {c.generation.steps} steps{cut}"


def _plain(value: Any) -> str:
    return str(in_short(value)).replace("'", "")


def _unknown(c: Configuration, initial_state: str, *, estimated: bool) -> Iterator[str]:
    """What is estimated, and what is known of it."""
    parts = [p.scalar_parts() for p in c.physical.learnable_parameters]
    for p, scalars in zip(c.physical.learnable_parameters, parts, strict=True):
        if list(scalars) == [p.name] and (bounds := scalars[p.name].bounds) is not None:
            yield f"unknown:   {p.name}, {bounds[0]:g} to {bounds[1]:g}, first guess {scalars[p.name].initial_guess:g}"
        else:
            yield f"unknown:   {p.name}, {p.kind}" + (f" of {len(scalars)} numbers" if scalars else "")
    if c.equation.is_static:
        return
    known = {"exact": "known exactly", "full": "unknown; measured in every cell", "observed": "unknown"}
    prior, keys = c.physical.initial_state, ""
    if prior is not None:
        keys = ", prior: " + ", ".join(f"{k} {v}" for k, v in prior.model_dump().items() if v is not None)
    elif initial_state == "observed":
        keys = ", with a prior from the measurements"
    if initial_state == "exact":
        yield f"t = 0:     {known[initial_state]}"
        return
    own = "; validation and tests begin with an estimate from what was measured then, less its noise"
    yield f"t = 0:     {known[initial_state]}{keys}{own if estimated else ''}"


def _judges(c: Configuration, observations: Observations | None) -> Iterator[str]:
    """Simulations, and what no model trains on."""
    o = c.observation
    groups = {"train": o.train_sim, "validate": o.val_sim, "test": o.test_sim}
    texts = [f"{what} on simulation {_numbers(s)}" for what, s in groups.items() if s]
    if observations is not None and observations.heldout is not None and o.holdout is not None:
        held = int(observations.heldout.sum())
        texts.append(
            f"{held} values held back by {o.holdout.by}, {int(observations.mask[observations.train].sum())} left"
        )
    if len(texts) == 1:
        texts.append("and judged by that alone: see observation.holdout")
    yield f"judged by: {'; '.join(texts)}"


def _numbers(simulations: list[int]) -> str:
    shown = ", ".join(map(str, simulations[:_LISTED]))
    return shown + (", …" if len(simulations) > _LISTED else "")


def _cost(c: Configuration, equation: Equation, simulations: int, initial_known: bool) -> Iterator[str]:
    """About how long the trainings take here, with as many threads as they have."""
    own = model_equation(equation, c.physical.equation, c.physical.resolution)
    network = c.synthetic.network
    weights = f"{weight_count(c, equation):,}".replace(",", " ")
    yield f"network:   {network['name']}, {weights} weights"
    before = torch.get_num_threads()
    threads = c.threads or before
    torch.set_num_threads(threads)
    try:
        physical = physical_seconds(c, own, simulations, initial_known)
        synthetic = network_seconds(c, equation, simulations)
    finally:
        torch.set_num_threads(before)
    text = f"physical {duration(physical.alone)}, synthetic {duration(synthetic.alone)}"
    both = duration(physical.hybrid + synthetic.hybrid)
    more = f", {duration(physical.terms)} more if terms are missing" if physical.terms else ""
    yield f"cost:      about {text}, hybrid {both}{more} on {threads} CPU thread(s)"

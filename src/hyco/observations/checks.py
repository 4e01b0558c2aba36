"""What is wrong with measurements that someone hands over, said where they are handed over.

Where only the type of the numbers is another one they are converted; anything else is refused in one line that says
which argument it is, what it should be and what it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from numbers import Real
from operator import index
from typing import Any, get_args

import torch
from torch import Tensor

from hyco.fields import Layout
from hyco.grid import Grid
from hyco.observations.config import InitialState
from hyco.observations.interpolation import Method
from hyco.runtime.mapped import cleared, parts

# A position may lie outside of a wall by this part of the domain: rounding.
_ROUNDING = 1e-9
# Factors between units that are easily confused.
_UNITS = ((1e-3, "mm or m"), (1e3, "m or mm"), (1e-2, "cm or m"), (1e2, "m or cm"))


class MeasurementError(ValueError):
    """Measurements that cannot be meant; the message names the argument."""


def as_numbers(name: str, values: Any) -> Tensor:
    """A tensor or array of numbers as float64.

    Raises:
        MeasurementError: it holds no real numbers.
    """
    tensor = _tensor(name, values)
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise MeasurementError(f"{name} must be real numbers, got {tensor.dtype}")
    return tensor.detach().to(torch.float64)


def as_mask(name: str, values: Any) -> Tensor:
    """A tensor or array of true and false, or of 1 and 0.

    Raises:
        MeasurementError: it holds anything else.
    """
    tensor = _tensor(name, values)
    if tensor.dtype == torch.bool:
        return tensor
    if not bool(((tensor == 0) | (tensor == 1)).all()):
        odd = tensor[(tensor != 0) & (tensor != 1)].flatten()[0]
        raise MeasurementError(f"{name} must be true or false (or 1 and 0) in every entry, got {float(odd):g}")
    return tensor == 1


def as_heldout(values: Any, mask: Tensor) -> Tensor:
    """What is held out, a mask in the shape of `mask`, which does not have it.

    Raises:
        MeasurementError: it is none.
    """
    heldout = as_mask("heldout", values)
    check_like("heldout", heldout, mask.shape, "as values")
    if both := int((heldout & mask).sum()):
        raise MeasurementError(f"heldout and mask must be different measurements, {both} are in both")
    return heldout


def _tensor(name: str, values: Any) -> Tensor:
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise MeasurementError(
            f"{name} must be a tensor or an array of numbers, got {type(values).__name__}"
        ) from error


def check_entries(values: Tensor, layout: Layout, *, on_grid: bool) -> None:
    """Whether values `[S, T+1, C, K…]` are what the layout makes of trajectories.

    Raises:
        MeasurementError: their shape is another one.
    """
    channels, space = len(layout.channels), layout.shape
    wanted = [channels, *space] if on_grid else [channels, "points"]
    where = f"[simulations, times, {', '.join(map(str, wanted))}] (channels: {', '.join(layout.channels)})"
    shape = tuple(values.shape)
    if values.ndim == 2 + len(wanted) and shape[2] == channels and (not on_grid or shape[3:] == space):
        if values.shape[1] < 2:
            raise MeasurementError(f"values must be {where} at two times at least, the first t = 0, got {list(shape)}")
        return
    hint = ""
    if on_grid and values.ndim == 1 + len(wanted):
        hint = ": an axis is missing, that of the channels perhaps"
    elif on_grid and values.ndim == 2 + len(wanted) and sorted(shape[2:]) == sorted((channels, *space)):
        hint = ": the axes are in another order"
    raise MeasurementError(f"values must be {where}, got {list(shape)}{hint}")


def check_like(name: str, tensor: Tensor, shape: Sequence[int], meaning: str) -> None:
    """Whether a tensor has the shape that another one gives it.

    Raises:
        MeasurementError: it has another one.
    """
    if tuple(tensor.shape) != tuple(shape):
        raise MeasurementError(f"{name} must be {meaning} = {list(shape)}, got {list(tensor.shape)}")


def check_finite(name: str, values: Tensor, where: Tensor, advice: str) -> None:
    """Whether values are finite where they have to be.

    Args:
        where: a mask that broadcasts to `values`.

    Raises:
        MeasurementError: some are not; says how many, and where the first one is.
    """
    count, done = 0, 0
    first: list[int] = []
    for numbers, needed in parts(values, where.expand(values.shape)):
        wrong = ~numbers.isfinite() & needed
        if bool(wrong.any()):
            row, *others = wrong.nonzero()[0].tolist()
            count, first = count + int(wrong.sum()), first or [done + row, *others]
        done += len(numbers)
    if count:
        raise MeasurementError(f"{name} is not finite in {count} entries, first at {first}: {advice}")


def check_noise(noise_std: Tensor, layout: Layout) -> None:
    """Whether standard deviations of the noise `[C]` are numbers of at least zero.

    Raises:
        MeasurementError: they are not.
    """
    check_like("noise_std", noise_std, (len(layout.channels),), f"one number for each of {', '.join(layout.channels)}")
    if not bool((noise_std.isfinite() & (noise_std >= 0)).all()):
        raise MeasurementError(
            f"noise_std must be finite and at least 0, the standard deviation of the noise, got {noise_std.tolist()}"
        )


def check_layout(layout: Any) -> None:
    """Whether it is a layout.

    Raises:
        MeasurementError: it is something else.
    """
    if not isinstance(layout, Layout):
        raise MeasurementError(f"layout must be that of an equation, equation.layout, got {type(layout).__name__}")


def check_full_start(mask: Tensor, layout: Layout) -> None:
    """Whether all entries on the grid were measured at t = 0, in trajectories with the mask `[S, T+1, C, *space]`.

    Raises:
        MeasurementError: some were not.
    """
    if missing := int((~mask[:, 0] & layout.valid).sum()):
        raise MeasurementError(
            f"initial_state full: {missing} entries at t = 0 were not measured, says mask; take observed"
        )


def as_simulations(train: Any, val: Any, test: Any, count: int) -> tuple[list[int], list[int], list[int]]:
    """Training, validation and test simulations as lists: different ones of those that there are.

    Raises:
        MeasurementError: they are not.
    """
    given = {"train": train, "val": val, "test": test}
    for name, simulations in given.items():
        if isinstance(simulations, str) or not hasattr(simulations, "__iter__"):
            raise MeasurementError(f"{name} must be a list of numbers of simulations, got {simulations!r}")
    lists = {name: [_whole(i) for i in simulations] for name, simulations in given.items()}
    if not lists["train"]:
        raise MeasurementError("train must name at least one simulation")
    for name, simulations in lists.items():
        for i in simulations:
            if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < count:
                raise MeasurementError(f"{name} must hold numbers from 0 to {count - 1} ({count} simulations), got {i}")
        if len({*simulations}) < len(simulations):
            raise MeasurementError(f"{name} names a simulation twice: {simulations}")
    for one, other in combinations(lists, 2):
        if both := sorted({*lists[one]} & {*lists[other]}):
            raise MeasurementError(f"{one} and {other} must be different simulations, both name {both}")
    return lists["train"], lists["val"], lists["test"]


def _whole(number: Any) -> Any:
    """A whole number of any library as one of Python; anything else as it is."""
    if isinstance(number, bool):
        return number
    try:
        return index(number)
    except TypeError:
        return int(number) if isinstance(number, float) and number.is_integer() else number


def check_choice(name: str, value: str, choices: Any) -> None:
    """Whether a word is one of those allowed.

    Raises:
        MeasurementError: it is not.
    """
    allowed = get_args(choices)
    if value not in allowed:
        raise MeasurementError(f"{name} {value!r} is not allowed; allowed: {', '.join(allowed)}")


def check_words(initial_state: InitialState, interpolation: Method, dt: float) -> None:
    """Whether the remaining arguments are among those allowed.

    Raises:
        MeasurementError: they are not.
    """
    check_choice("initial_state", initial_state, InitialState)
    check_choice("interpolation", interpolation, Method)
    if not (isinstance(dt, Real) and math.isfinite(dt) and dt > 0):
        raise MeasurementError(f"dt must be a positive time between two states, got {dt!r}")


def as_states(name: str, values: Any, leading: tuple[int, ...], layout: Layout) -> Tensor:
    """States `[*leading, C, *space]` that are finite in all cells and faces; beyond these they get 0.

    Raises:
        MeasurementError: their shape is another one, or one of them is not finite.
    """
    states = as_numbers(name, values)
    check_like(name, states, (*leading, len(layout.channels), *layout.shape), "[simulations, …, channels, *space]")
    check_finite(
        name, states, layout.valid, "a state begins a rollout; fill what was not measured, with initial_state: observed"
    )
    return cleared(states, layout.valid)


def as_positions(values: Any, mask: Tensor, layout: Layout, *, whole_start: bool) -> Tensor:
    """Positions `[S, T+1, P, d]` inside the domain: along periodic axes they are wrapped, elsewhere they must be.

    Args:
        mask: of the entries, `[S, T+1, C, K]`, K >= P. Positions where nothing was measured are of no use; they
            get the middle of the domain where they lie outside of it.
        whole_start: whether the entries at t = 0 are the whole state.

    Raises:
        MeasurementError: another shape; or a position is not finite, or beyond a wall.
    """
    grid = layout.grid
    positions = as_numbers("positions", values)
    count = positions.shape[2] if positions.ndim == 4 else 0
    shape = (*mask.shape[:2], min(count, mask.shape[3]) or mask.shape[3], grid.dimensions)
    check_like("positions", positions, shape, f"[simulations, times, points, {len(grid.axes)} axes]")
    measured = mask[..., :count].any(dim=2)
    if whole_start:
        measured = measured.clone()
        measured[:, 0] = False
    check_finite("positions", positions, measured[..., None], "each measurement needs its place")
    lower, size = (torch.tensor(v, dtype=torch.float64) for v in (grid.lower, grid.size))
    positions = torch.where(positions.isfinite(), positions, lower + size / 2)
    for axis, wraps in enumerate(layout.periodic):
        low, length, along = grid.lower[axis], grid.size[axis], positions[..., axis]
        slack = _ROUNDING * length
        beyond = (along < low - slack) | (along > low + length + slack)
        if not wraps and bool((beyond & measured).any()):
            raise MeasurementError(f"positions: {beyond_walls(along[measured], grid, axis)}")
        if wraps and bool(measured.any()):
            own = along[measured]
            guess = other_unit(own, grid, axis) if float(own.max() - own.min()) > length + 2 * slack else None
            if guess is not None:
                raise MeasurementError(f"positions: {grid.axes[axis]} reaches beyond its period {length:g}; {guess}")
        inside = low + torch.remainder(along - low, length) if wraps else torch.full_like(along, low + length / 2)
        positions[..., axis] = torch.where(beyond, inside, along)
    return positions


def as_offsets(values: Any, positions: Tensor | None, mask: Tensor) -> Tensor | None:
    """Times of measurements at points, `[S, T+1, P]`, in steps after their states: in (-1, 0]; None where all are 0.

    Args:
        positions: of the points, `[S, T+1, P, d]`.
        mask: of the entries, `[S, T+1, C, K]`, K >= P. Offsets where nothing was measured are of no use and get 0.

    Raises:
        MeasurementError: another shape, or an offset that cannot be meant.
    """
    if values is None:
        return None
    if positions is None:
        raise MeasurementError("offsets are of measurements at points: give positions, too")
    offsets = as_numbers("offsets", values)
    check_like("offsets", offsets, positions.shape[:3], "[simulations, times, points]")
    measured = mask[..., : offsets.shape[2]].any(dim=2)
    check_finite("offsets", offsets, measured, "each measurement needs its time")
    offsets = torch.where(measured, offsets, 0.0)
    wrong = (offsets <= -1) | (offsets > 0)
    wrong[:, 0] = offsets[:, 0] != 0
    if bool(wrong.any()):
        first = wrong.nonzero()[0].tolist()
        raise MeasurementError(
            f"offsets must be above -1 and at most 0, steps from a state back to its measurement, and 0 at t = 0; got "
            f"{float(offsets[tuple(first)]):g} at {first}"
        )
    return offsets if bool(offsets.any()) else None


def beyond_walls(along: Tensor, grid: Grid, axis: int) -> str:
    """That measurements at coordinates `[n]` lie beyond the walls of an axis, and which unit would explain it."""
    name, low, high = grid.axes[axis], grid.lower[axis], grid.lower[axis] + grid.size[axis]
    beyond = along[(along < low) | (along > high)]
    text = f"{len(beyond)} lie outside of {name} = {low:g} to {high:g}, for instance {name} = {float(beyond[0]):g}"
    guess = other_unit(along, grid, axis)
    return text if guess is None else f"{text}; {guess}"


def other_unit(along: Tensor, grid: Grid, axis: int) -> str | None:
    """Which unit would put coordinates `[n]` inside the domain, where one would."""
    low, high = grid.lower[axis], grid.lower[axis] + grid.size[axis]
    for factor, guess in _UNITS:
        scaled = along * factor
        if bool(((scaled >= low) & (scaled <= high)).all()) and float(scaled.max() - scaled.min()) > 0.1 * (high - low):
            return f"multiplied by {factor:g} all lie inside: {guess}?"
    return None

"""NumPy arrays and tensors at the door: what comes in as one goes out as the same."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyco.fields import Layout
from hyco.trained_model import Time, TrainedModel

States = TypeVar("States", Tensor, NDArray[Any])

_FLOATS = (torch.float32, torch.float64)


def as_tensor(states: Tensor | NDArray[Any], what: str) -> Tensor:
    """An array or tensor of floating-point numbers as a tensor; an array shares its memory where it can.

    Raises:
        ValueError: it is neither, or has another type of numbers.
    """
    tensor: Any = states
    if isinstance(states, np.ndarray):
        if states.dtype.kind not in "fiubc":  # torch has no such type
            raise ValueError(f"{what}: expected float32 or float64, got {states.dtype}")
        tensor = torch.from_numpy(np.ascontiguousarray(states))
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{what}: expected a NumPy array or a tensor, got {type(states).__name__}")
    if tensor.dtype not in _FLOATS:
        raise ValueError(f"{what}: expected float32 or float64, got {str(states.dtype).removeprefix('torch.')}")
    return tensor


def require_shape(states: Tensor, leading: tuple[str, ...], layout: Layout, what: str) -> None:
    """Refuse states of another shape than `leading` and then `[C, *space]` of the layout.

    Raises:
        ValueError: says in one line what was expected and what was given.
    """
    state = (len(layout.channels), *layout.shape)
    if states.ndim == len(leading) + len(state) and tuple(states.shape[len(leading) :]) == state:
        return
    expected = ", ".join([*leading, *map(str, state)])
    names = f"channels {', '.join(layout.channels)} and axes {', '.join(layout.grid.axes)} last"
    raise ValueError(f"{what}: expected the shape [{expected}] ({names}), got {list(states.shape)}")


def require_finite(states: Tensor, layout: Layout, what: str) -> None:
    """Refuse states `[…, C, *space]` with entries that are not finite.

    Raises:
        ValueError: says how many there are.
    """
    wrong = int((~states.isfinite() & layout.valid.to(states.device)).sum())
    if wrong:
        raise ValueError(f"{what}: {wrong} entries are not finite; a rollout begins with whole states")


def as_time(time: float | Tensor | NDArray[Any], count: int | None) -> Time:
    """T of states: a number, or one for each of them.

    Args:
        count: of the states; None: a number alone will do.

    Raises:
        ValueError: it is something else, or not finite.
    """
    expected = "a finite number" if count is None else f"a finite number, or an array of {count}, one for each state"
    if isinstance(time, int | float | np.integer | np.floating) and not isinstance(time, bool):
        if np.isfinite(time):
            return float(time)
    elif isinstance(time, Tensor | np.ndarray) and count is not None:
        times = torch.as_tensor(time)
        if times.dtype in _FLOATS and times.shape in ((), (count,)) and bool(times.isfinite().all()):
            return times
    raise ValueError(f"time: expected {expected}, got {time!r}")


def rolled_out(
    model: TrainedModel, layout: Layout, states: States, steps: int, time: float | Tensor | NDArray[Any] = 0.0
) -> States:
    """A model's rollout in the kind, the dtype and on the device of the initial states.

    Args:
        model: what predicts.
        layout: of its states.
        states: `[B, C, *space]`.
        steps: how many.
        time: t of the initial states, a number or `[B]`.

    Returns:
        `[B, steps, C, *space]`.

    Raises:
        ValueError: the states are no such array or not finite, or there is no step.
    """
    tensor = as_tensor(states, "initial states")
    require_shape(tensor, ("B",), layout, "initial states")
    require_finite(tensor, layout, "initial states")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"steps: expected a whole number from 1 on, got {steps!r}")
    predicted = model.rollout(tensor, int(steps), as_time(time, len(tensor)))
    return predicted.numpy() if isinstance(states, np.ndarray) else predicted

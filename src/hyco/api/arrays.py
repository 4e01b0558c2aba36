"""NumPy arrays and tensors at the door: what comes in as one goes out as the same."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyco.fields import Layout
from hyco.trained_model import TrainedModel

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


def rolled_out(model: TrainedModel, layout: Layout, states: States, steps: int) -> States:
    """A model's rollout in the kind, the dtype and on the device of the initial states.

    Args:
        model: what predicts.
        layout: of its states.
        states: `[B, C, *space]`.
        steps: how many.

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
    predicted = model.rollout(tensor, int(steps))
    return predicted.numpy() if isinstance(states, np.ndarray) else predicted

"""Predictions of trained models as datasets, for results of all kinds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hyco.api.arrays import as_tensor, as_time, require_finite, require_shape
from hyco.fields import Layout
from hyco.inversion.posterior import DRAWS
from hyco.predictions.files import read_states_file
from hyco.predictions.predict import Trained, predict
from hyco.predictions.sources import Left, data_steps, end_of_data, given
from hyco.predictions.states import states_of
from hyco.training.measured import warn_of_walls

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from torch import Tensor

    # States to begin with, or a file of them; None: the end of the training simulations.
    Beginning = Tensor | NDArray[Any] | str | Path | None


def predicted(
    left: Mapping[str, Left],
    trained: Mapping[str, Trained],
    layout: Layout,
    initial_states: Beginning,
    steps: int | None,
    *,
    dt: float | None,
    samples: int,
    static: bool = False,
    equation: str | None = None,
    time: float = 0.0,
) -> xr.Dataset:
    """What `predict` of every result returns; see `hyco.predictions.predict.predict`.

    Args:
        left, trained: the models by method.
        layout: of the states.
        initial_states, steps, samples: as users give them.
        dt: time between states; None: it is not known.
        static: whether the problem has no time.
        equation: its name, for the attributes; None: a network alone, which the values on walls do not enter.
        time: t of given states.

    Raises:
        ValueError: the states, `steps` or `samples` cannot be meant.
    """
    for name, value, least, most in (("steps", steps, 1, None), ("samples", samples, 2, DRAWS)):
        if value is None:
            continue
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < least or (most is not None and value > most):
            limits = f"from {least} on" if most is None else f"from {least} to {most}"
            raise ValueError(f"{name}: expected a whole number {limits}, got {value!r}")
    begin = float(as_time(time, None))
    if initial_states is None:
        if begin:
            raise ValueError(f"time: {time!r} is that of given states; without initial_states the data say it")
        start = end_of_data(left, None)
    elif isinstance(initial_states, str | Path):
        states = states_of(read_states_file(Path(initial_states)), layout, str(initial_states))
        start = given(left, states, str(initial_states), begin)
    else:
        states = as_tensor(initial_states, "initial states")
        require_shape(states, ("B",), layout, "initial states")
        require_finite(states, layout, "initial states")
        start = given(left, torch.where(layout.valid, states, 0.0), "given states", begin)
    count = data_steps(left.values(), None) if steps is None else int(steps)
    if equation is not None and dt is not None:
        warn_of_walls(layout, start.time, start.time + (start.skip + count) * dt)
    dataset = predict(trained, layout, start, count, dt=dt, samples=int(samples), static=static)
    return dataset if equation is None else dataset.assign_attrs(equation=equation)

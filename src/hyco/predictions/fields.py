"""Predictions as PhiFlow Fields, for programs that go on with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr

from hyco.fields import Layout, to_fields

DIMENSIONS = ("simulation", "time")


def fields_of(predictions: xr.Dataset, layout: Layout) -> dict[str, Any]:
    """Fields `METHOD.FIELD` with the batch dimensions simulation and time, their walls those of the equation.

    Args:
        predictions: variables `METHOD.CHANNEL`, see `hyco.predictions.predict.predict`; standard deviations are left
            out. Without time, as in a static problem, there is one.
        layout: of the states.
    """
    methods = dict.fromkeys(str(name).split(".", 1)[0] for name in predictions.data_vars)
    # A network's precision may be another than a solver's: one that holds both.
    dtype = torch.from_numpy(np.zeros(1, np.result_type(*predictions.data_vars.values()))).dtype
    fields: dict[str, Any] = {}
    for method in methods:
        first = predictions[f"{method}.{layout.channels[0]}"]
        steps = first.sizes.get("time", 1)
        states = torch.zeros(first.sizes["simulation"], steps, len(layout.channels), *layout.shape, dtype=dtype)
        for index, channel in enumerate(layout.channels):
            values = torch.from_numpy(predictions[f"{method}.{channel}"].to_numpy())
            states[layout.index(index, 2)] = values.reshape(*states.shape[:2], *values.shape[-layout.grid.dimensions :])
        fields |= {f"{method}.{name}": field for name, field in to_fields(states, layout, DIMENSIONS).items()}
    return fields

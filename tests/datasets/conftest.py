"""Small bundles that the datasets' tests share."""

import base64
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.runtime.storage import Bundle

LAYOUTS = {
    "line": Layout(Grid(("x",), (-1.0,), (2.0,), (8,)), (FieldSpec("velocity", ("x",)),)),
    "plane": Layout(Grid(("x", "y"), (0.0, 0.0), (3.0, 2.0), (6, 4)), (FieldSpec("smoke", boundary="neumann"),)),
    "staggered": Layout(
        Grid(("x", "y"), (0.0, 0.0), (3.0, 2.0), (6, 4)),
        (FieldSpec("velocity", ("x", "y"), staggered=True, boundary=0.0), FieldSpec("smoke", boundary="neumann")),
    ),
}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return LAYOUTS[request.param]


def trajectories_of(layout, simulations=2, states=5):
    shape = (simulations, states, len(layout.channels), *layout.shape)
    values = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    metadata = {"kind": "trajectories", "layout": layout.to_dict(), "dt": 0.1}
    return Bundle({"trajectories": values * layout.valid}, metadata)


@pytest.fixture
def trajectories(layout):
    return trajectories_of(layout)


@pytest.fixture
def decode():
    """The image of a preview."""

    def decoded(preview):
        return Image.open(BytesIO(base64.b64decode(preview)))

    return decoded


@pytest.fixture
def shows_something():
    """Whether an image has more than one colour."""
    return lambda image: len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20

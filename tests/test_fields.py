"""Fields to tensors and back: exact, batched, for every kind of grid and boundary, with asymmetric data."""

import json

import pytest
import torch
from phi import math
from phi.field import CenteredGrid, StaggeredGrid
from phi.geom import Box
from phi.math import batch, channel, extrapolation, spatial

from hyco.fields import FieldSpec, Layout, layout_of, to_fields, to_tensor
from hyco.grid import Grid
from hyco.walls.phiflow import to_extrapolation

PLANE = Grid(axes=("x", "y"), lower=(-1.0, 2.0), size=(3.0, 2.0), resolution=(6, 4))
LINE = Grid(axes=("x",), lower=(0.5,), size=(2.0,), resolution=(7,))
BOUNDARIES = [
    "periodic",
    "neumann",
    0.0,
    2.5,
    {"x": "periodic", "y": {"lower": 0.0, "upper": "neumann"}},
    {"x": {"lower": "neumann", "upper": 1.0}, "y": 0.0},
]


def distinct(layout, *sizes):
    """Every entry another number, padding zero."""
    shape = (*sizes, len(layout.channels), *layout.shape)
    return torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.float64).reshape(shape) / 7 * layout.valid


def every_layout():
    for boundary in BOUNDARIES:
        yield Layout(PLANE, (FieldSpec("density", boundary=boundary),))
        yield Layout(PLANE, (FieldSpec("velocity", ("x", "y"), boundary=boundary),))
        yield Layout(PLANE, (FieldSpec("velocity", ("x", "y"), staggered=True, boundary=boundary),))
        yield Layout(
            PLANE,
            (FieldSpec("velocity", ("x", "y"), staggered=True, boundary=boundary), FieldSpec("smoke", boundary=0.0)),
        )
        if not isinstance(boundary, dict):
            yield Layout(LINE, (FieldSpec("velocity", ("x",), boundary=boundary),))
            yield Layout(LINE, (FieldSpec("velocity", ("x",), staggered=True, boundary=boundary), FieldSpec("s")))


LAYOUTS = list(every_layout())


def describe(layout):
    return "-".join(f"{f.name}{'|' if f.staggered else '.'}{f.boundary}" for f in layout.fields)


@pytest.mark.parametrize("layout", LAYOUTS, ids=describe)
@pytest.mark.parametrize("dims", [("batch",), ("simulation", "time")], ids=["batch", "time"])
def test_tensor_to_fields_and_back_is_exact(layout, dims):
    tensor = distinct(layout, *(3, 5)[: len(dims)])
    back = to_tensor(to_fields(tensor, layout, dims), layout, dims)
    assert back.dtype == torch.float64
    assert torch.equal(back, tensor)


@pytest.mark.parametrize("layout", LAYOUTS, ids=describe)
def test_the_layout_is_recovered_from_fields_and_from_json(layout):
    assert layout_of(to_fields(distinct(layout, 2), layout)) == layout
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout


def test_field_to_tensor_and_back_within_1e6():
    box = Box(x=3.0, y=2.0)
    values = math.random_normal(batch(batch=2), channel(vector="x,y"), spatial(x=6, y=4))
    field = CenteredGrid(values, extrapolation.PERIODIC, box)
    layout = layout_of({"velocity": field})
    back = to_fields(to_tensor({"velocity": field}, layout), layout)["velocity"]
    assert float(math.max(math.abs(back.values - field.values), field.values.shape)) < 1e-6
    assert back.bounds == field.bounds
    assert back.boundary == field.boundary


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_staggered_fields_of_phiflow_survive_the_round_trip(boundary):
    outer = to_extrapolation(boundary)
    box = Box(x=(-1.0, 2.0), y=(2.0, 4.0))
    generator = torch.Generator().manual_seed(0)
    template = StaggeredGrid(0.0, outer, box, x=6, y=4)
    parts = {}
    for c in "xy":
        sizes = template.values[{"~vector": c}].shape.spatial.sizes
        parts[c] = math.wrap(
            torch.randn(3, *sizes, generator=generator, dtype=torch.float64), batch("batch"), spatial("x,y")
        )
    field = StaggeredGrid(math.stack(parts, math.dual("vector")), outer, box)
    layout = layout_of({"velocity": field})
    back = to_fields(to_tensor({"velocity": field}, layout), layout)["velocity"]
    for c in "xy":
        assert torch.equal(
            back.values[{"~vector": c}].native("batch,x,y"), field.values[{"~vector": c}].native("batch,x,y")
        )


def test_rows_of_the_tensor_are_x_and_columns_are_y():
    layout = Layout(PLANE, (FieldSpec("density"),))
    tensor = torch.zeros(1, 1, 6, 4, dtype=torch.float64)
    tensor[0, 0, 5, 1] = 1.0
    field = to_fields(tensor, layout)["density"]
    assert float(field.values[{"x": 5, "y": 1}].native("batch")[0]) == 1.0
    centers = field.center[{"x": 5, "y": 1}]
    assert float(centers.vector["x"]) == pytest.approx(PLANE.centers("x")[5])
    assert float(centers.vector["y"]) == pytest.approx(PLANE.centers("y")[1])


@pytest.mark.parametrize(
    ("boundary", "faces"),
    [("periodic", (6, 4)), (0.0, (5, 3)), ("neumann", (7, 5))],
    ids=["periodic", "closed", "open"],
)
def test_padding_follows_the_faces_that_a_boundary_leaves_free(boundary, faces):
    layout = Layout(PLANE, (FieldSpec("velocity", ("x", "y"), staggered=True, boundary=boundary),))
    assert layout.shape == (7, 5)
    assert [int(v.sum()) for v in layout.valid] == [faces[0] * 4, 6 * faces[1]]


def test_one_centred_field_is_not_copied():
    layout = Layout(PLANE, (FieldSpec("velocity", ("x", "y")),))
    tensor = distinct(layout, 2)
    assert to_tensor(to_fields(tensor, layout), layout).data_ptr() == tensor.data_ptr()


def test_a_field_without_a_batch_dimension_is_repeated():
    layout = Layout(PLANE, (FieldSpec("terrain"), FieldSpec("velocity", ("x", "y"))))
    tensor = distinct(layout, 2)
    fields = to_fields(tensor, layout)
    fields["terrain"] = fields["terrain"].batch[0]
    back = to_tensor(fields, layout)
    assert torch.equal(back[:, 0], tensor[:1, 0].expand(2, -1, -1))
    assert torch.equal(back[:, 1:], tensor[:, 1:])


def test_gradients_pass_through_both_ways():
    layout = Layout(PLANE, (FieldSpec("velocity", ("x", "y"), staggered=True, boundary=0.0), FieldSpec("smoke")))
    tensor = distinct(layout, 2).requires_grad_()
    (to_tensor(to_fields(tensor, layout), layout) ** 2).sum().backward()
    assert torch.equal(tensor.grad, 2 * tensor.detach())


def test_float32_stays_float32():
    layout = Layout(PLANE, (FieldSpec("density"),))
    tensor = distinct(layout, 2).float()
    assert torch.equal(to_tensor(to_fields(tensor, layout), layout), tensor)


def test_a_tensor_of_another_shape_is_refused():
    layout = Layout(PLANE, (FieldSpec("density"),))
    with pytest.raises(ValueError, match=r"needs \[batch\] \+ \[1, 6, 4\], the tensor is \[2, 1, 4, 6\]"):
        to_fields(torch.zeros(2, 1, 4, 6), layout)


def test_the_kinds_of_an_axis_name_both_walls_where_they_differ():
    mixed = Layout(PLANE, (FieldSpec("s", boundary={"x": "neumann", "y": 0.0}),))
    assert mixed.boundaries == ("neumann", "dirichlet")
    sides = {"x": {"lower": 1.5, "upper": "neumann"}, "y": {"lower": 0.0, "upper": 2.0}}
    assert Layout(PLANE, (FieldSpec("s", boundary=sides),)).boundaries == ("dirichlet-neumann", "dirichlet")
    assert Layout(PLANE, (FieldSpec("s", boundary={"x": "periodic", "y": 0.0}),)).periodic == (True, False)

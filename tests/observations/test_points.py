"""Single samples and moving sensors: where and when they measure, and what a perfect model leaves over."""

import math

import pytest
import torch

from hyco.observations import GridOperator, ObservationConfig, Observations
from hyco.observations.cells import box
from hyco.observations.changes import change_std
from hyco.observations.filling import in_cells
from hyco.runtime.storage import read_bundle, write_bundle

CIRCLE = {
    "x": "0.25 + exp(-0.1*t) * ((x0 - 0.25) * cos(t) - (y0 - 0.75) * sin(t))",
    "y": "0.75 + exp(-0.1*t) * ((x0 - 0.25) * sin(t) + (y0 - 0.75) * cos(t))",
}
CELLS = {"mode": "samples", "count": 100}
ANYWHERE = {"mode": "samples", "count": 100, "at": "anywhere"}
MOVING = {"mode": "moving", "count": 9, "region": {"x": [0.0, 0.5], "y": [0.5, 1.0]}, "path": CIRCLE}
LAYOUTS = [
    {},
    {"staggered": True},
    {"boundary": {"x": {"lower": 0.5, "upper": "neumann"}, "y": 1.0}},
    {"boundary": 0.0, "staggered": True},
]


def space(data):
    return ObservationConfig.model_validate({"train_sim": [0], "space": data}).space


@pytest.mark.parametrize("changes", LAYOUTS)
@pytest.mark.parametrize("data", [CELLS, ANYWHERE, MOVING, {"mode": "range", "x": [0.0, 0.5]}])
def test_the_truth_leaves_the_noise_over_where_the_operator_looks(tools, changes, data):
    where = tools.layout(**changes)
    states, seen = tools.measure(where, steps=40, space=data)
    operator = seen.operator(seen.train, 1, 40)
    left = (operator(states[[2, 0], 1:]) - seen.values[seen.train, 1:]) / seen.sigma_at([0], [1])
    left = left[seen.mask[seen.train, 1:]]
    assert len(left) > 100
    assert float(left.square().mean()) == pytest.approx(1.0, abs=4 * (2 / len(left)) ** 0.5)


def test_entries_have_their_channels_sigma(tools):
    for data in (CELLS, ANYWHERE):
        _, seen = tools.measure(tools.layout(staggered=True), space=data, noise_reference="absolute", noise=0.5)
        assert (seen.sigma_at([0], [1]).expand(seen.values.shape) == 0.5).all()
        assert seen.sigma.shape == (2, 1, 1)


@pytest.mark.parametrize("data", [CELLS, ANYWHERE])
def test_samples_have_the_number_times_and_region_that_are_asked_for(tools, data):
    where = tools.layout()
    region = {"x": [0.0, 0.6], "y": [0.3, 0.9]}
    _, seen = tools.measure(
        where, steps=8, space=data | {"count": 60, "region": region}, time={"mode": "custom", "indices": [3, 5, 7]}
    )
    assert seen.mask.flatten(1).sum(dim=1).tolist() == [60, 60, 60]
    assert seen.mask.flatten(2).any(dim=2).any(dim=0).nonzero().flatten().tolist() == [3, 5, 7]
    assert len({bytes(m.numpy()) for m in seen.mask}) == 3, "each simulation has its own"
    if seen.on_grid:
        assert not (seen.mask & ~box(where, {axis: tuple(v) for axis, v in region.items()})).any()
    else:
        drawn = seen.positions[seen.mask[:, :, 0]]
        for i, axis in enumerate("xy"):
            assert ((drawn[:, i] >= region[axis][0]) & (drawn[:, i] <= region[axis][1])).all()
            assert drawn[:, i].std() > 0.1


def test_samples_of_cells_are_entries_of_the_grid_and_none_is_taken_twice(tools):
    _, seen = tools.measure(tools.layout(), steps=1, space={"mode": "samples", "count": 2 * 96})
    assert seen.mask.all()
    assert isinstance(seen.operator([0], 1, 1), GridOperator)


def test_moving_sensors_follow_their_paths_and_rest_along_the_others(tools):
    _, seen = tools.measure(tools.layout(), space=MOVING)
    start, middle = seen.positions[0, 0], torch.tensor([0.25, 0.75]).double()
    radius = (start - middle).norm(dim=1)
    for step in range(7):
        t = 0.25 * step
        shrunk = math.exp(-0.1 * t)
        assert torch.allclose((seen.positions[0, step] - middle).norm(dim=1), radius * shrunk)
        turned = shrunk * ((start - middle)[:, 0] * math.cos(t) - (start - middle)[:, 1] * math.sin(t))
        assert torch.allclose(seen.positions[0, step, :, 0] - 0.25, turned)
    assert torch.equal(seen.positions[0], seen.positions[1]), "the same in all simulations"
    _, resting = tools.measure(tools.layout(), space={"mode": "moving", "count": 5, "path": {"x": "x0 + 0 * t"}})
    assert torch.equal(resting.positions[0, 0], resting.positions[0, 6])


def test_a_sensor_is_not_observed_where_it_leaves_the_domain(tools):
    data = {"mode": "moving", "count": 1, "region": {"x": [-0.25, 0.0]}, "path": {"x": "x0 + 1.2 * t * (2 - t)"}}
    _, seen = tools.measure(tools.layout(), steps=8, space=data)
    start = float(seen.positions[0, 0, 0, 0])
    inside = [-0.5 <= start + 1.2 * t * (2 - t) <= 1.0 for t in (0.25 * step for step in range(9))]
    assert seen.mask[0, :, 0, 0].tolist() == inside
    assert inside.count(False) > 1
    assert torch.isfinite(seen.values).all()


def test_sensors_can_start_on_a_regular_grid(tools):
    data = {"mode": "moving", "count": 12, "start": "grid", "region": {"x": [0.0, 0.9], "y": [0.3, 0.9]}}
    _, seen = tools.measure(tools.layout(), space=data)
    found = seen.positions[0, 0]
    # 12 = 4 × 3 is nearest to cubes in a region of 0.9 × 0.6.
    assert sorted(set(found[:, 0].round(decimals=6).tolist())) == pytest.approx([0.1125, 0.3375, 0.5625, 0.7875])
    assert sorted(set(found[:, 1].round(decimals=6).tolist())) == pytest.approx([0.4, 0.6, 0.8])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"mode": "samples", "count": 1000}, "count is 1000, but there are 96 cells in 7 observed states"),
        (CELLS | {"region": {"z": [0.0, 1.0]}}, "region names the axis 'z'; the domain has x, y"),
        (ANYWHERE | {"region": {"x": [0.5, 1.5]}}, r"region\.x is \[0\.5, 1\.5\]; allowed: .* from -0\.5 to 1"),
        (ANYWHERE | {"region": {"x": [0.5, 0.5]}}, "allowed: two growing numbers"),
        ({"mode": "moving", "count": 1, "path": {"z": "t"}}, "path names the axis 'z'; the domain has x, y"),
        ({"mode": "moving", "count": 1, "path": {"x": "z0"}}, "unknown name z0; allowed: t, x0, y0"),
    ],
)
def test_places_that_the_domain_does_not_have_are_refused(tools, data, message):
    with pytest.raises(ValueError, match=message):
        space(data).check(tools.grid(12, 8), 7)


def test_a_path_is_a_formula_and_nothing_else():
    with pytest.raises(ValueError, match="no function '__import__'"):
        space({"mode": "moving", "count": 1, "path": {"x": "__import__(1)"}})


def test_sensors_that_are_never_inside_leave_nothing_observed(tools):
    with pytest.raises(ValueError, match="leave nothing observed after t = 0"):
        tools.measure(tools.layout(), space={"mode": "moving", "count": 3, "path": {"x": "x0 + 100 * t"}})


def test_statistics_and_changes_are_those_of_the_states(tools):
    where = tools.layout(staggered=True)
    _, full = tools.measure(where, noise=0.05, steps=20)
    for data in (CELLS, ANYWHERE, MOVING | {"count": 60, "region": {}}):
        _, seen = tools.measure(where, noise=0.05, steps=20, space=data)
        for found, expected in zip(seen.statistics(), full.statistics(), strict=True):
            assert torch.allclose(found, expected, rtol=0.15)
        assert torch.allclose(change_std(seen), change_std(full), rtol=0.3)


@pytest.mark.parametrize("initial", ["exact", "full", "observed"])
@pytest.mark.parametrize("data", [CELLS, ANYWHERE, MOVING])
def test_observations_survive_a_file(tools, tmp_path, data, initial):
    states, seen = tools.measure(tools.layout(staggered=True, boundary=0.0), space=data, initial_state=initial)
    write_bundle(tmp_path / "observations.safetensors", seen.to_bundle())
    back = Observations.from_bundle(read_bundle(tmp_path / "observations.safetensors"))
    assert {k: v for k, v in vars(back).items() if not torch.is_tensor(v)} == {
        k: v for k, v in vars(seen).items() if not torch.is_tensor(v)
    }
    for name, value in vars(seen).items():
        if torch.is_tensor(value):
            assert torch.equal(getattr(back, name), value), name
    assert torch.equal(back.operator([2, 0], 0, 3)(states[:2, :4]), seen.operator([2, 0], 0, 3)(states[:2, :4]))


@pytest.mark.parametrize("initial", ["exact", "full"])
def test_a_picture_shows_measurements_in_their_cells(tools, initial):
    where = tools.layout(staggered=True)
    _, seen = tools.measure(where, space=ANYWHERE, initial_state=initial)
    positions, values, mask = seen.positions[0], seen.values[0], seen.mask[0]
    shown = in_cells(where, positions, values, mask, whole_start=initial == "full")
    assert shown.shape == (7, 2, *where.shape)
    lower, h = torch.tensor(where.grid.lower).double(), torch.tensor(where.grid.spacing).double()
    for t, c, p in mask[1:].nonzero().tolist()[::17]:
        x, y = ((positions[t + 1, p] - lower) / h).floor().long().tolist()
        assert float(shown[t + 1, c, x, y]) in values[t + 1, c][mask[t + 1, c]].tolist()
    assert shown[0].isfinite().sum() == where.valid.sum() if initial == "full" else shown[0].isnan().any()

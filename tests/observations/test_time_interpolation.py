"""Measurements between states: how well they are read, and that those at states are read as before."""

import math
from itertools import pairwise

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.observations import Observations, PointOperator
from hyco.observations.changes import change_std
from hyco.observations.checks import MeasurementError
from hyco.observations.filling import positions_of_entries
from hyco.observations.time_interpolation import BetweenOperator, lagrange
from hyco.runtime.storage import read_bundle, write_bundle

END = 1.0


def heat(x, t):
    """Sines that decay, on [0, 1] with walls of 0."""
    waves = ((1, 1.0), (2, -0.7), (3, 0.4))
    return sum(a * torch.exp(-0.1 * (k * math.pi) ** 2 * t) * torch.sin(k * math.pi * x) for k, a in waves)


def burgers(x, t):
    """A travelling front of Burgers' equation with viscosity 0.05: speed 0.5, from 1.1 down to -0.1."""
    return 0.5 - 0.6 * torch.tanh(0.6 * (x - 0.2 - 0.5 * t) / (2 * 0.05))


def line(cells=512, boundary=0.0):
    return Layout(Grid(("x",), (0.0,), (1.0,), (cells,)), (FieldSpec("u", (), False, boundary),))


def observations(layout, solution, steps, *, points=200, seed=0, initial_state="exact", at_states=False):
    """Measurements of a solution at random times and places, without noise; its states `[1, T+1, 1, x]`."""
    dt, random = END / steps, torch.Generator().manual_seed(seed)
    time = END * torch.rand(points, generator=random, dtype=torch.float64)
    place = time / dt if not at_states else (time / dt).round().clamp_min(1)
    step = place.ceil().long().clamp_min(1)
    count = torch.bincount(step, minlength=steps + 1)
    positions = torch.full((1, steps + 1, int(count.max()), 1), 0.5, dtype=torch.float64)
    offsets, values = torch.zeros(positions.shape[:3], dtype=torch.float64), torch.zeros(1, steps + 1, 1, count.max())
    values, mask = values.double(), torch.zeros(values.shape, dtype=torch.bool)
    used = torch.zeros(steps + 1, dtype=torch.long)
    x = 0.1 + 0.8 * torch.rand(points, generator=random, dtype=torch.float64)
    for i in range(points):
        n, k = int(step[i]), int(used[step[i]])
        used[n] += 1
        positions[0, n, k, 0], offsets[0, n, k] = x[i], place[i] - n
        values[0, n, 0, k], mask[0, n, 0, k] = solution(x[i], place[i] * dt), True
    centres = positions_of_entries(layout, 0)[:, 0]
    states = torch.stack([solution(centres, torch.tensor(n * dt, dtype=torch.float64)) for n in range(steps + 1)])[
        None, :, None
    ]
    seen = Observations(
        values=values,
        mask=mask,
        initial_states=states[:, 0],
        noise_std=torch.tensor([0.0]),
        train=[0],
        val=[],
        layout=layout,
        dt=dt,
        initial_state=initial_state,
        positions=positions,
        interpolation="cubic",
        offsets=offsets,
    )
    return seen, states


@pytest.mark.parametrize(("solution", "boundary"), [(heat, 0.0), (burgers, "neumann")])
def test_times_between_states_are_read_with_fourth_order(solution, boundary):
    errors = []
    for steps in (10, 20, 40):
        seen, states = observations(line(boundary=boundary), solution, steps)
        operator = seen.operator([0], 1, steps)
        read = operator(states[:, 1:], before=states[:, 0])
        errors.append(float((read - seen.values[:, 1:])[seen.mask[:, 1:]].square().mean().sqrt()))
        # From t = 0 on, without a state before it, it is the same.
        assert torch.allclose(seen.operator([0], 0, steps)(states)[:, 1:], read, atol=1e-14)
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(orders) > 3.5, (errors, orders)
    assert errors[-1] < 1e-4


@pytest.mark.parametrize(("length", "degree"), [(1, 1), (2, 2), (3, 3), (6, 3)])
def test_windows_read_polynomials_of_their_length_exactly(length, degree):
    """Also at both ends of a window, whichever state it begins at: the states in it and its start are enough."""

    def solution(x, t):
        return (1 + x) * (0.3 - t + 2 * t**2 - 0.7 * t**3 if degree == 3 else (0.3 - t) ** degree)

    seen, states = observations(line(64, "neumann"), solution, 8)
    whole = seen.operator([0], 1, 8)
    first = torch.arange(0, 9 - length)
    window = whole.select(torch.zeros(len(first), 1, dtype=torch.long), first[:, None] + torch.arange(length))
    at = first[:, None] + torch.arange(1, length + 1)
    read = window(states[0][at], before=states[0][first])
    error = (read - seen.values[0][at])[seen.mask[0][at]]
    assert len(error) > 20
    assert error.abs().max() < 1e-12


def test_measurements_at_states_are_read_to_the_bit_as_without_offsets():
    seen, states = observations(line(), heat, 20, at_states=True)
    assert seen.offsets is None, "all are zero"
    plain = seen.operator([0], 1, 20)
    assert isinstance(plain, PointOperator)
    between = BetweenOperator.of(plain, torch.zeros(seen.positions[:, 1:].shape[:3]).double(), 1, seen.layout)
    read = between(states[:, 1:], before=states[:, 0])
    assert torch.equal(read[seen.mask[:, 1:]], plain(states[:, 1:], before=states[:, 0])[seen.mask[:, 1:]])


def test_no_more_states_are_needed_than_those_around_the_measurements():
    seen, states = observations(line(), heat, 40, points=3)
    kept = seen.mask[0, :, 0].any(dim=1).nonzero().flatten()
    some, numbers = seen.operator([0], 0, 40).needed(kept)
    assert len(numbers) <= 12
    assert set(numbers) >= set(kept.tolist())
    whole = seen.operator([0], 0, 40)(states)
    assert torch.equal(some(states[:, numbers]), whole[:, kept])


def test_copies_and_channels_are_read_each_by_itself(tools):
    where = tools.layout(staggered=True)
    states, seen = tools.measure(where, space={"mode": "samples", "count": 80, "at": "anywhere"}, noise=0.0)
    offsets = torch.where(seen.mask.any(dim=2), -0.25, 0.0)
    offsets[:, 0] = 0
    operator = Observations(**{**vars(seen), "offsets": offsets}).operator([0, 2], 1, 6)
    flow = states[[2, 1]]
    read = operator(torch.cat([flow[:, 1:], 2 * flow[:, 1:]]), before=torch.cat([flow[:, 0], 2 * flow[:, 0]]))
    assert torch.allclose(read[2:], 2 * read[:2], atol=1e-14)
    # A state that moves by a quarter of a step is a plain reading of it at that time.
    earlier = torch.stack(
        [torch.stack([tools.waves(where, 0.3 * (t - 0.25) + s) for t in range(1, 7)]) for s in (2, 1)]
    )
    plain = seen.operator([0, 2], 1, 6)(earlier)
    mask = seen.mask[[0, 2], 1:]
    assert (read[:2] - plain)[mask].abs().max() < 4e-4, "the bound on the error of a cubic in its last step"
    mean, std = torch.tensor([1.0, 2.0]).double(), torch.tensor([0.5, 3.0]).double()
    wide = (-1, 1, 1)
    scaled = (flow - mean.reshape(wide)) / std.reshape(wide)
    normalised = operator.normalised(mean, std)(scaled[:, 1:], before=scaled[:, 0])
    assert torch.allclose(normalised * std[:, None] + mean[:, None], read[:2], atol=1e-13)


def test_gradients_are_exact_for_states_and_for_the_one_before():
    seen, states = observations(line(16), heat, 5, points=30)
    operator = seen.operator([0], 1, 5)
    parts = (states[:, 1:].clone().requires_grad_(), states[:, 0].clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda after, before: operator(after, before=before), parts)


def test_single_precision_is_kept():
    seen, states = observations(line(64), heat, 20)
    operator = seen.operator([0], 1, 20).to(torch.device("cpu"), torch.float32)
    read = operator(states[:, 1:].float(), before=states[:, 0].float())
    assert read.dtype == torch.float32
    exact = seen.operator([0], 1, 20)(states[:, 1:], before=states[:, 0])
    assert (read - exact).abs().max() < 1e-5


def test_the_weights_are_those_of_lagrange():
    t = torch.linspace(-1, 4, 21, dtype=torch.float64)
    weights = lagrange(t, 4)
    for power in range(4):
        assert torch.allclose(weights @ torch.arange(4.0).double() ** power, t**power)
    assert torch.equal(lagrange(torch.arange(4.0), 4), torch.eye(4))


def test_a_whole_start_stands_beside_times_between_states():
    seen, states = observations(line(32), heat, 4, points=40)
    padded = [torch.nn.functional.pad(v, (0, 32 - v.shape[-1])) for v in (seen.values, seen.mask)]
    padded[0][:, 0], padded[1][:, 0] = states[:, 0], True
    given = {**vars(seen), "values": padded[0], "mask": padded[1], "initial_state": "full"}
    full = Observations(**given)
    read = full.operator([0], 0, 4)(states)
    assert torch.equal(read[0, 0], states[0, 0])
    assert torch.equal(read[:, 1:, :, : seen.values.shape[-1]], seen.operator([0], 0, 4)(states)[:, 1:])
    some, numbers = full.operator([0], 0, 4).needed(torch.tensor([0, 2]))
    assert numbers[0] == 0
    assert torch.equal(some(states[:, numbers]), read[:, [0, 2]])


def test_the_change_per_step_allows_for_the_time_that_has_passed():
    def solution(x, t):
        return torch.sin(2 * math.pi * x) + 3.0 * t

    seen, _ = observations(line(64, "periodic"), solution, 50, points=400)
    assert float(change_std(seen)[0]) == pytest.approx(3.0 / 50, rel=1e-3)


def test_they_survive_a_file(tmp_path):
    seen, _ = observations(line(32), heat, 10)
    write_bundle(tmp_path / "seen", seen.to_bundle())
    back = Observations.from_bundle(read_bundle(tmp_path / "seen"))
    assert torch.equal(back.offsets, seen.offsets)


def test_a_missing_state_before_is_not_made_up():
    seen, states = observations(line(32), heat, 10)
    with pytest.raises(ValueError, match="the state before the first one is missing"):
        seen.operator([0], 1, 10)(states[:, 1:])
    with pytest.raises(ValueError, match=r"1 simulations .* and 11 states, .* not for \[1, 10\]"):
        seen.operator([0], 1, 10)(states[:, 2:], before=states[:, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o: o[:, :-1], r"offsets must be \[simulations, times, points\]"),
        (lambda o: o + 0.5, "offsets must be above -1 and at most 0"),
        (lambda o: o - 1.0, "offsets must be above -1 and at most 0"),
        (lambda o: o * math.nan, "offsets is not finite in 200 entries"),
        (lambda o: "soon", "offsets must be a tensor or an array of numbers"),
    ],
)
def test_offsets_that_cannot_be_meant_are_refused(change, message):
    seen, _ = observations(line(32), heat, 10)
    with pytest.raises(MeasurementError, match=message):
        Observations(**{**vars(seen), "offsets": change(seen.offsets)})


def test_offsets_are_of_points_and_not_of_the_start(tools):
    _, on_grid = tools.measure(tools.layout())
    with pytest.raises(MeasurementError, match="offsets are of measurements at points"):
        Observations(**{**vars(on_grid), "offsets": torch.zeros(3, 7, 1)})
    _, seen = tools.measure(
        tools.layout(), space={"mode": "samples", "count": 80, "at": "anywhere"}, initial_state="observed"
    )
    with pytest.raises(MeasurementError, match=r"and 0 at t = 0; got -0.25 at \[0, 0, 0\]"):
        Observations(**{**vars(seen), "offsets": torch.full(seen.positions.shape[:3], -0.25)})

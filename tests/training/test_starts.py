"""What validation and test simulations begin with."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import solve_ivp

import hyco
from hyco.equations.registry import build_equation
from hyco.observations import ObservationConfig, Observations, observe
from hyco.runtime.storage import read_whole
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.starts import observed, observed_on_disk, of_whole, with_starts

FISHER = {
    "name": "formula",
    "domain": {"x": {"size": 20.0, "resolution": 64}},
    "boundary": "neumann",
    "dt": 0.3,
    "fields": {"u": {"lower": 0.0}},
    "rates": {"u": "D*laplace(u) + r*u*(1 - u)"},
    "parameters": {"D": 0.5, "r": 1.0},
}
PARTS = {"train_sim": [0, 1], "val_sim": [2], "test_sim": [3], "noise": 0.02, "initial_state": "full"}
X = (np.arange(64) + 0.5) * 20 / 64


def fronts(steps=18):
    """Fisher-KPP by SciPy, from fronts and pieces beside an empty plateau, `[4, T+1, 1, 64]`."""

    def slope(_, u):
        beyond = np.concatenate([u[:1], u, u[-1:]])
        return 0.5 * (beyond[2:] - 2 * u + beyond[:-2]) / (20 / 64) ** 2 + u * (1 - u)

    times = 0.3 * np.arange(steps + 1)
    starts = [1 / (1 + np.exp((X - x) / 0.8)) ** 2 for x in (4, 5, 6)] + [0.8 * np.exp(-(((X - 6) / 1.5) ** 2))]
    found = [solve_ivp(slope, (0, times[-1]), u, "LSODA", times, rtol=1e-8, atol=1e-10).y.T for u in starts]
    return torch.from_numpy(np.stack(found))[:, :, None]


@pytest.fixture(scope="module")
def truth():
    return hyco.Trajectories(fronts(), hyco.equation(FISHER))


def judged(seen):
    """The states that the validation and the test simulation begin with."""
    return torch.cat([seen.initial_states[seen.val], seen.test_initial_states])


def error(states, truth):
    return float((states - truth).square().mean().sqrt())


def test_an_empty_plateau_stays_empty_and_the_true_physics_predict_what_is_held_out(truth):
    seen = hyco.observe(truth, PARTS, seed=0)
    raw = observe(truth.to_bundle(), ObservationConfig.model_validate(PARTS), 0)
    cut, starts, true = judged(raw).clamp_min(0.0), judged(seen), truth.states[2:]
    assert error(starts, true[:, 0]) < 0.75 * error(cut, true[:, 0])
    assert float(cut[..., 40:].mean()) > 0.3 * float(seen.noise_std)
    assert float(starts[..., 40:].mean()) < 0.02 * float(seen.noise_std)
    wrong, right = (hyco.simulate(truth.equation, initial_states=s, steps=18).states for s in (cut, starts))
    assert error(wrong, true) > 0.1 * float(true.square().mean().sqrt())
    assert error(right, true) < 0.2 * error(wrong, true)
    # Those of the training are unknowns of it, and what was measured is what it was.
    assert torch.equal(seen.initial_states[seen.train], raw.initial_states[raw.train].clamp_min(0.0))
    assert torch.equal(seen.values, raw.values)


def test_no_later_state_is_looked_at(truth):
    later = truth.states.clone()
    later[2:, 1:] = 7.0
    other = hyco.observe(hyco.Trajectories(later, truth.equation), PARTS, seed=0)
    assert torch.equal(judged(other), judged(hyco.observe(truth, PARTS, seed=0)))


@pytest.mark.parametrize("keys", [{"noise": 0.0}, {"initial_state": "exact"}])
@pytest.mark.parametrize("space", [{"mode": "full"}, {"mode": "samples", "count": 900, "at": "anywhere"}])
def test_without_noise_it_is_what_was_measured_to_the_bit(truth, keys, space):
    section = PARTS | {"space": space} | keys
    raw = observe(truth.to_bundle(), ObservationConfig.model_validate(section), 0)
    seen = hyco.observe(truth, section, seed=0)
    assert torch.equal(seen.initial_states, truth.equation.admissible(raw.initial_states))
    if keys == {"noise": 0.0}:
        assert torch.equal(seen.test_initial_states, truth.equation.admissible(raw.test_initial_states))


def test_a_low_plateau_is_not_an_empty_one(truth):
    low = truth.states.clamp_min(0.04)
    seen = hyco.observe(hyco.Trajectories(low, truth.equation), PARTS, seed=0)
    assert judged(seen)[..., 40:].mean() == pytest.approx(0.04, abs=0.003)


@pytest.mark.parametrize(
    "space", [{"mode": "points", "count": 24}, {"mode": "samples", "count": 900, "at": "anywhere"}]
)
def test_sensors_tell_a_smooth_state_from_how_smooth_those_of_the_training_are(space):
    equation = hyco.equation(FISHER | {"fields": {"u": {}}, "rates": {"u": "D*laplace(u)"}, "parameters": {"D": 0.5}})
    data = hyco.simulate(equation, simulations=4, steps=18, length_scale=2.5)
    section = PARTS | {"space": space, "initial_state": "observed"}
    raw = observe(data.to_bundle(), ObservationConfig.model_validate(section), 0)
    seen = hyco.observe(data, section, seed=0)
    assert error(judged(seen), data.states[2:, 0]) < 0.75 * error(judged(raw), data.states[2:, 0])


@pytest.mark.parametrize(
    "space", [{"mode": "points", "count": 24}, {"mode": "samples", "count": 900, "at": "anywhere"}]
)
def test_of_rough_states_sensors_tell_what_they_told(space):
    equation = hyco.equation(FISHER | {"fields": {"u": {}}})
    rough = torch.randn((4, 19, 1, 64), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    data, section = hyco.Trajectories(rough, equation), PARTS | {"space": space, "initial_state": "observed"}
    raw = observe(data.to_bundle(), ObservationConfig.model_validate(section), 0)
    assert torch.equal(judged(hyco.observe(data, section, seed=0)), judged(raw))


def test_many_sensors_of_a_smooth_state_tell_it_though_each_has_its_noise():
    """The error that the others predict a value with is hardly less than that of those nearby: both have its noise."""
    equation = hyco.equation(FISHER | {"fields": {"u": {}}, "rates": {"u": "D*laplace(u)"}, "parameters": {"D": 0.5}})
    data = hyco.simulate(equation, simulations=4, steps=18, length_scale=4.0)
    section = PARTS | {"space": {"mode": "points", "count": 54}, "initial_state": "observed", "noise": 0.1}
    raw = observe(data.to_bundle(), ObservationConfig.model_validate(section), 0)
    seen = hyco.observe(data, section, seed=0)
    for found, measured, true in zip(judged(seen), judged(raw), data.states[2:, 0], strict=True):
        assert error(found, true) < 0.6 * error(measured, true)


@pytest.mark.parametrize("sigma", ["known", "of values"])
def test_a_gap_in_a_state_on_the_grid_is_filled_and_does_not_keep_the_noise(truth, sigma):
    raw = observe(truth.to_bundle(), ObservationConfig.model_validate(PARTS), 0)
    mask, values = raw.mask.clone(), raw.values.clone()
    mask[2, 0, 0, [9, 40, 41]], values[2, 0, 0, [9, 40, 41]] = False, 0.0
    filled = raw.initial_states.clone()
    filled[2, 0, [9, 40, 41]] = filled[2, 0, [8, 39, 42]]
    each = raw.noise_std.reshape(-1, 1).expand(values.shape) if sigma == "of values" else None
    gaps = replace(raw, mask=mask, values=values, initial_states=filled, initial_state="observed", sigma_of_values=each)
    (found,) = with_starts(gaps, truth.equation).initial_states[2]
    assert error(found, truth.states[2, 0, 0]) < 0.75 * error(filled[2, 0].clamp_min(0.0), truth.states[2, 0, 0])
    assert float(found[40:].mean()) < 0.02 * float(raw.noise_std)


@pytest.mark.parametrize("low", [0.0, 0.015])
def test_where_no_field_is_estimated_an_empty_plateau_is_empty_and_a_low_one_is_not(truth, low):
    """Values at random of half the cells are nothing that a smooth field predicts, beside a plateau."""
    rough = torch.rand((4, 19, 1, 64), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    rough[..., 30:] = low
    section = PARTS | {"space": {"mode": "samples", "count": 700, "at": "cells"}, "initial_state": "observed"}
    data = hyco.Trajectories(rough, truth.equation)
    raw = judged(observe(data.to_bundle(), ObservationConfig.model_validate(section), 0))[..., 40:].clamp_min(0.0)
    seen = hyco.observe(data, section, seed=0)
    sigma = float(seen.noise_std)
    if low:
        assert low < 3 * sigma
        assert torch.allclose(judged(seen)[..., 40:], raw)
    else:
        assert float(raw.mean()) > 0.2 * sigma
        assert float(judged(seen)[..., 40:].mean()) < 0.02 * sigma


def test_the_log_says_of_how_many_states_and_why_not_of_others(truth, caplog):
    with caplog.at_level("INFO", "hyco.training.starts"):
        hyco.observe(truth, PARTS, seed=0)
        rough = torch.randn((4, 19, 1, 64), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        section = PARTS | {"space": {"mode": "points", "count": 24}, "initial_state": "observed"}
        hyco.observe(hyco.Trajectories(rough, truth.equation), section, seed=0)
        hyco.observe(truth, PARTS | {"noise": 0.0}, seed=0)
    one, other = (record.getMessage() for record in caplog.records)
    assert "Of 2 states that validation and tests begin with 2 are estimated from measurements of them." in one
    assert other.endswith("others are as measured, and filled between: 2 (those nearby tell as much).")


@pytest.mark.parametrize("std", ["known", "estimate"])
def test_of_a_file_it_is_the_same_also_where_the_noise_is_to_be_told(std, truth, tmp_path):
    def read(part):
        raw = hyco.observe(truth, PARTS | {"noise": part, "val_sim": [2, 3], "test_sim": []}, seed=1)
        s, t, x = np.meshgrid(range(4), 0.3 * np.arange(19), X, indexing="ij")
        frame = pd.DataFrame({"s": s.ravel(), "t": t.ravel(), "x": x.ravel(), "u": raw.values.numpy().ravel()})
        frame.to_csv(tmp_path / "mine.csv", index=False, float_format="%.17g")
        noise = float(raw.noise_std) if std == "known" and part else "estimate"
        section = {"time": "t", "axes": {"x": "x"}, "fields": {"u": "u"}, "simulation": "s", "std": noise}
        observation = {name: PARTS[name] for name in ("train_sim", "val_sim", "test_sim")}
        return raw, hyco.read_measurements(tmp_path / "mine.csv", truth.equation, section, observation)

    raw, seen = read(0.02)
    assert torch.equal(seen.initial_states[seen.test], seen.test_initial_states)
    assert error(judged(seen), truth.states[2:, 0]) < 0.75 * error(raw.values[2:, 0].clamp_min(0), truth.states[2:, 0])
    assert float(judged(seen)[..., 40:].mean()) < 0.02 * float(raw.noise_std)
    raw, seen = read(0.0)
    assert torch.equal(judged(seen), truth.states[2:, 0].clamp_min(0))


def test_on_disk_they_are_the_same_to_the_bit(truth, tmp_path):
    section = ObservationConfig.model_validate(PARTS)
    expected = observed(truth.to_bundle(), section, 0, truth.equation)
    stored = read_whole(observed_on_disk(truth.to_bundle(), section, 0, truth.equation, tmp_path))
    found = Observations.from_bundle(stored)
    for name in ("initial_states", "test_initial_states", "values"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_a_channel_with_bounds_has_them_and_another_has_none():
    section = FISHER | {
        "fields": {"v": {}, "u": {"lower": 0.0, "upper": 1.5}},
        "rates": {"v": "D*laplace(v) - u", "u": "D*laplace(u) + r*u*(1 - u)"},
    }
    equation = build_equation(section)
    data = generate(equation, GenerationConfig(simulations=4, steps=3, length_scale=0.8), 0)
    keys = ObservationConfig.model_validate(PARTS | {"noise": 0.5})
    seen = observe(data, keys, 0)
    better = with_starts(seen, equation)
    assert seen.initial_states[:, 1].min() < 0
    assert better.initial_states[:, 1].min() == 0.0
    assert better.initial_states[:, 1].max() <= 1.5
    assert better.initial_states[:, 0].min() < -0.1
    assert torch.equal(better.initial_states[:2, 0], seen.initial_states[:2, 0])
    assert torch.equal(better.values, seen.values)
    exact = observe(data, keys.model_copy(update={"initial_state": "exact"}), 0)
    assert with_starts(exact, equation) is exact


def test_in_two_dimensions_the_axes_are_not_mixed_up():
    """A front along x, on a grid that is long along x; turned, the same."""

    def starts(axes, sizes):
        domain = {axis: {"size": size, "resolution": 2 * int(size)} for axis, size in zip(axes, sizes, strict=True)}
        equation = hyco.equation(FISHER | {"domain": domain})
        flat = torch.randn((4, 40, 12), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        along = 1 / (1 + torch.exp((torch.arange(40) - 12.0 - 0.5 * torch.arange(12)[:, None]).T / 1.5))
        noisy = along + 0.02 * flat
        if sizes[0] < sizes[1]:
            noisy, along = noisy.transpose(1, 2), along.T
        seen = Observations(
            values=noisy[:, None, None].repeat(1, 2, 1, 1, 1),
            mask=torch.ones((4, 2, 1, *along.shape), dtype=torch.bool),
            initial_states=noisy[:, None],
            noise_std=torch.tensor([0.02]),
            train=[0, 1],
            val=[2, 3],
            layout=equation.layout,
            dt=0.3,
            initial_state="full",
        )
        return with_starts(seen, equation).initial_states[2:, 0], along

    (one, truth), (other, turned) = starts("xy", (20.0, 6.0)), starts("xy", (6.0, 20.0))
    assert torch.allclose(one, other.transpose(1, 2), rtol=0, atol=1e-12)
    assert error(one, truth) < 0.65 * 0.02
    assert torch.equal(truth, turned.T)


def test_beside_walls_with_values_a_state_keeps_its_slope():
    """Each channel by its own walls: the first goes on as its mirror image, the second does not."""
    walls = {"v": {"boundary": "neumann"}, "u": {"boundary": 0.0}}
    rates = {"v": "D*laplace(v)", "u": "D*laplace(u)"}
    equation = build_equation(FISHER | {"fields": walls, "rates": rates, "parameters": {"D": 0.5}})
    x = torch.from_numpy(X) / 20
    truth = torch.stack([torch.cos(np.pi * x), torch.sin(np.pi * x)])
    sigma = 0.05 * truth.std(dim=1)
    draws = torch.randn((60, 2, 64), generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    draws = torch.cat([draws, -draws])
    noisy = truth + sigma[:, None] * draws
    errors = (
        torch.stack([of_whole(state, sigma, equation.layout, equation) - truth for state in noisy]) / sigma[:, None]
    )
    rms, all_of_it = (e[..., [0, -1]].square().mean(dim=0).sqrt() for e in (errors, draws))
    assert bool((rms[0] < 0.65 * all_of_it[0]).all())
    assert bool((rms[1] <= 1.05 * all_of_it[1]).all())
    assert float(errors[:, 1, [0, -1]].mean(dim=0).abs().max()) < 0.15


@pytest.mark.parametrize("walls", ["periodic", {"x": "periodic", "y": "neumann"}])
def test_an_area_at_a_bound_goes_on_across_the_ends_of_a_periodic_axis(walls):
    """A low plateau of .6 σ that is told as a whole, and not by each of its halves."""
    cells = {"x": {"size": 1.0, "resolution": 64}} | (
        {} if walls == "periodic" else {"y": {"size": 1.0, "resolution": 6}}
    )
    equation = build_equation(FISHER | {"domain": cells, "boundary": walls})
    i = torch.arange(64)
    truth = torch.where((i > 20) & (i < 44), 1.0, 0.012).double()[None]
    if "y" in cells:
        truth = truth[:, :, None].expand(-1, -1, 6)
    sigma = torch.tensor([0.02]).double()
    for e in torch.randn((40, *truth.shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64):
        measured = truth + sigma * e
        found = of_whole(measured, sigma, equation.layout, equation)
        rolled = of_whole(measured.roll(32, dims=1), sigma, equation.layout, equation).roll(-32, dims=1)
        assert torch.equal(found == 0, rolled == 0)
        assert torch.allclose(found, rolled, rtol=0, atol=1e-12)

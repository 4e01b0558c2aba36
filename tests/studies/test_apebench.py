"""The study on the data of APEBench: what the networks learn from, what they step, and what they are scored by."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import apebench_gray_scott as gray_scott
import apebench_networks as study
from apebench_networks import CELLS, PROBLEMS, UPDATES, Squares, cut, errors, on_whole_states
from hyco.networks.synthetic import SyntheticModel
from hyco.observations.changes import change_std
from hyco.observations.weights import root_weights

STATISTICS = {"mean": torch.zeros(2), "std": torch.ones(2), "change_std": torch.ones(2)}


def test_the_error_of_a_step_is_summed_over_channels_and_averaged_over_trajectories():
    truth = torch.tensor([3.0, 4.0]).repeat(2, 1, 2, 1)  # two trajectories, a step, two channels, two cells
    predicted = truth.clone()
    predicted[0, 0, 0] += torch.tensor([3.0, 4.0])  # relative to the norm 5: 1
    predicted[0, 0, 1, 0] += 1.0  # 1/5
    assert errors(predicted, truth) == pytest.approx([(1 + 0.2) / 2])


def test_tests_in_parts_of_unequal_size_are_an_average_over_all_trajectories():
    class Still:
        def rollout(self, states, steps):
            return states[:, None].expand(-1, steps, *states.shape[1:])

    test = np.random.default_rng(0).standard_normal((7, study.SCORED + 3, 1, 4)).astype(np.float32)
    states = torch.from_numpy(test)
    expected = errors(states[:, :1].expand(-1, study.SCORED, -1, -1), states[:, 1 : study.SCORED + 1])
    assert study.tested(Still(), test[:, : study.SCORED + 1]) == pytest.approx(expected)


def test_squares_are_cut_across_the_edges_from_a_state_and_the_next_one():
    cells, simulations, times = 6, 3, 5
    simulation, time, _, place = np.ogrid[:simulations, :times, :2, : cells**2]
    train = (1000 * simulation + 100 * time + place + 0 * _).reshape(simulations, times, 2, cells, cells)
    pairs = cut(train.astype(np.float32), Squares(60, 2, 1), seed=0).numpy().astype(int)
    assert pairs.shape == (60, 2, 2, 4, 4)
    assert (pairs[:, 1] - pairs[:, 0] == 100).all()
    first = pairs[:, 0, 0]
    assert {tuple(square) for square in np.stack([first // 1000, first % 1000 // 100]).reshape(2, 60, -1).T[0]} == {
        (s, t) for s in range(simulations) for t in range(times - 1)
    }
    x, y = first % 100 // cells, first % 100 % cells
    assert ((x - x[:, :1]) % cells == np.arange(4)[:, None]).all()
    assert ((y - y[:, :, :1]) % cells == np.arange(4)).all()
    assert set(x[:, 0, 0]) == set(y[:, 0, 0]) == set(range(cells))


def test_of_several_places_a_square_is_where_most_changes():
    train = np.zeros((1, 2, 1, 8, 8), np.float32)
    train[0, 1, 0, 2:4, 5:7] = 1.0
    found = [
        float(cut(train, Squares(200, 2, 0, choices), seed=0).diff(dim=1).square().sum(dim=(2, 3, 4)).mean())
        for choices in (1, 64)
    ]
    assert found[0] == pytest.approx(4 * 4 / 64, rel=0.5)
    assert found[1] > 3


def test_of_several_times_a_square_is_from_the_earliest():
    """The earliest of three of ten is the first with a probability of 1 - 0.9³."""
    train = np.broadcast_to(np.arange(11, dtype=np.float32)[None, :, None, None, None], (1, 11, 1, 4, 4))
    for times, first in ((1, 0.1), (3, 1 - 0.9**3)):
        found = cut(train, Squares(4000, 2, 0, times=times), seed=0)[:, 0, 0, 0, 0]
        assert float((found == 0).float().mean()) == pytest.approx(first, abs=0.02)
        assert found.min() == 0
        assert found.max() == 9


def test_errors_of_even_squares_count_by_the_inverse_root_of_the_mean_square_change():
    amplitude = np.repeat(np.array([0.1, 1.0, 10.0, 0.0], np.float32), 30).reshape(-1, 1, 1, 1, 1)
    shape = (len(amplitude), 1, 2, CELLS, CELLS)
    change = amplitude * np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    train = np.concatenate([np.zeros_like(change), change], axis=1)
    train = np.concatenate([train, train[: study.HELD]])
    squares = Squares(200, 8, 2, even=True)
    observations = replace(PROBLEMS["gray_scott_2d"], squares=squares).observations(train, seed=0)
    weights = root_weights(observations)
    assert weights is not None
    size = observations.values[:, 1, 0, 2:-2, 2:-2].std(dim=(1, 2))
    found = [weights[abs(size / of - 1) < 0.5][:, 1, 0, 5, 5].square().mean() for of in (1.0, 10.0)]
    assert float(found[0] / found[1]) == pytest.approx(10, rel=0.1)
    assert bool(weights.isfinite().all()), "nothing happens in some of the squares"
    alike = replace(PROBLEMS["gray_scott_2d"], squares=replace(squares, even=False)).observations(train, seed=0)
    assert root_weights(alike) is None
    for of_even, of_alike in zip(observations.statistics(), alike.statistics(), strict=True):
        assert torch.equal(of_even, of_alike)
    assert change_std(observations) == pytest.approx(change_std(alike), rel=1e-6)


def test_no_square_is_cut_from_the_trajectories_that_are_held_out():
    train = np.zeros((study.HELD + 2, 3, 2, CELLS, CELLS), np.float32)
    train[2:] = np.nan
    observations = replace(PROBLEMS["burgers_2d"], squares=Squares(40, 4, 2)).observations(train, seed=0)
    assert bool(torch.isfinite(observations.values).all())


@pytest.mark.parametrize(("margin", "the_same"), [(4, True), (3, False)])
def test_the_middle_of_a_square_sees_what_the_whole_state_shows(margin, the_same):
    """A residual network of one block and kernels of 3 sees 4 cells."""
    squares = Squares(2, 6, margin)
    network = {"name": "resnet", "filters": 3, "blocks": 1, "kernel_size": 3}
    problem = replace(PROBLEMS["burgers_2d"], network=network, squares=squares)
    layout = problem.equation(squares.cells, "neumann").layout
    model = SyntheticModel.create(network, layout, **STATISTICS, seed=0)
    for weight in model.network.head.parameters():
        torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(1))
    whole = torch.randn(1, 2, CELLS, CELLS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    square = whole[..., : squares.cells, : squares.cells]
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    ours, theirs = model.rollout(square, 1)[:, 0], on_whole_states(model, problem).rollout(whole, 1)[:, 0]
    apart = (ours[inner] - theirs[..., : squares.cells, : squares.cells][inner]).abs().max()
    assert bool(apart < 1e-5) == the_same


@pytest.mark.parametrize("name", PROBLEMS)
def test_margins_are_as_wide_as_networks_see_and_the_budget_is_apebench_s(name):
    problem = PROBLEMS[name]
    pairs = 50 * 50
    if problem.squares is not None:
        pairs = problem.squares.count
    if problem.squares is not None and not problem.squares.whole:
        kernel = problem.network.get("kernel_size", 5)
        convolutions = {"resnet": 2, "gated": 1}[problem.network["name"]]
        assert problem.squares.margin == kernel // 2 * (convolutions * problem.network["blocks"] + 2)
    assert problem.batch <= 20
    assert pairs % problem.batch == 0
    assert problem.updates <= UPDATES
    assert problem.updates % (pairs // problem.batch) == 0


def test_whole_states_are_squares_that_go_round():
    train = np.random.default_rng(0).standard_normal((study.HELD + 1, 3, 2, CELLS, CELLS)).astype(np.float32)
    problem = PROBLEMS["gray_scott_2d"]
    assert problem.squares.whole
    observations = problem.observations(train, seed=0)
    assert observations.layout.boundaries == ("periodic", "periodic")
    assert bool(observations.mask.all())
    shifted = {float(state.sum()) for state in observations.values[:, 0, 0]}
    assert all(min(abs(float(of.sum()) - total) for of in train[0, :, 0]) < 0.1 for total in shifted)


def test_a_short_training_is_resumed_and_tested(tmp_path, monkeypatch):
    """Of two epochs: stopped after one and gone on with, it is the same as in one go."""
    monkeypatch.setattr(study, "CELLS", 16)
    monkeypatch.setattr(study, "SCORED", 3)
    monkeypatch.setattr(study, "SHOWN", (1, 3))
    monkeypatch.setattr(study, "HELD", 1)
    network = {"name": "resnet", "filters": 2, "blocks": 1, "kernel_size": 3}
    small = replace(PROBLEMS["burgers_2d"], network=network, squares=Squares(4, 4, 4), batch=2, updates=4)
    monkeypatch.setitem(study.PROBLEMS, "burgers_2d", small)
    states = np.random.default_rng(0).standard_normal((3, 4, 2, 16, 16)).astype(np.float32)
    data = tmp_path / "burgers_2d.npz"
    np.savez(data, train=np.concatenate([states, states[:1]]), test=states[:1])
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    whole = study.draw("burgers_2d", 0, data, tmp_path / "whole")
    part = study.draw("burgers_2d", 0, data, tmp_path / "parts", stop=1)
    rest = study.draw("burgers_2d", 0, data, tmp_path / "parts")
    assert (part["updates"], rest["updates"], whole["updates"]) == (2, 4, 4)
    assert rest["score"] == whole["score"] != part["score"]
    assert whole["held"] == whole["score"], "the trajectory that is held out is the one of the test"
    assert len(whole["errors"]) == 2
    assert rest["cpu_seconds"] > part["cpu_seconds"]
    assert "| `diff_burgers`, 2-D | 0 | " in study.table([whole])
    assert f"| {whole['errors'][0]:.2g} | " in study.steps_table([whole])


def test_data_that_are_not_there_are_asked_for(tmp_path):
    with pytest.raises(SystemExit, match="--peers"):
        study.make_data(PROBLEMS["burgers_1d"], tmp_path / "burgers_1d.npz", None)


def test_the_low_pass_of_gray_scott_hides_high_waves_from_the_reactions_alone():
    """Where v = 0, a wave of u decays by diffusion, and by the feed if the reactions see it."""
    for waves, taps, fed in ((39, None, True), (40, None, False), (40, 0, True)):
        place = torch.arange(CELLS).double() / CELLS
        wave = torch.cos(2 * torch.pi * waves * place).expand(CELLS, CELLS)
        states = torch.stack([1 + 0.1 * wave, torch.zeros_like(wave)])[None]
        rate = gray_scott.DIFFUSIVITIES[0] * (2 * np.pi * waves / gray_scott.SIZE) ** 2 + gray_scott.FEED * fed
        expected = 1 + 0.1 * np.exp(-gray_scott.STEP * rate) * wave
        after = gray_scott.solver(taps)(states)[0]
        assert float((after[0] - expected).abs().max()) < 3e-3 * 0.1 * np.exp(-gray_scott.STEP * rate)
        assert float(after[1].abs().max()) < 1e-12


def test_the_page_says_how_every_seed_is_trained():
    lines = [{"problem": "gray_scott_2d", "seed": seed} for seed in (0, 1, 2)] + [{"problem": "burgers_1d", "seed": 0}]
    first, *others = study.commands(lines)
    assert first == "make bench-apebench"
    assert [other.split(" --write")[0] for other in others] == [
        "python benchmarks/apebench_networks.py --problem gray_scott_2d --seeds 1 2"
    ]

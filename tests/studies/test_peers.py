"""The studies beside other programs: what these are given is what hyco has."""

import dataclasses
import sys

import numpy as np
import pytest
import torch

import inversions
import jax_schemes
import network_training
import work_precision
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper
from network_training import Problem, first_losses, fixed_batches, trainer_of, write_problem
from peers import Peer
from problems import coefficients


def test_a_peer_answers_and_one_that_ends_is_told_of(tmp_path, monkeypatch):
    script = tmp_path / "echo.py"
    script.write_text("import sys\nprint(sys.stdin.readline().strip(), flush=True)\n")
    peer = Peer(sys.executable, str(script))
    assert peer.ask(number=3) == {"number": 3}
    with pytest.raises(RuntimeError, match="ended"):
        peer.ask(number=4)
    peer.close()


def test_a_network_s_problem_is_what_it_trains_on(tmp_path):
    """The loss of the first batch, by hand: at first the network says that nothing changes."""
    trainer = trainer_of(Problem(1, 16, 4, 2))
    samples = trainer.prepare(trainer.window_starts(trainer.rollout, real_alone=True))
    batches = fixed_batches(trainer, samples)
    write_problem(trainer, samples, batches, tmp_path / "problem.npz")
    with np.load(tmp_path / "problem.npz") as problem:
        first = problem["batches"][0]
        expected = np.mean((problem["starts"][first][:, None] - problem["targets"][first]) ** 2)
        assert problem["network.head.1.convolution.weight"].shape == (1, 24, 5)
    losses = first_losses(trainer, samples)
    assert len(losses) == 2
    assert losses[0] == pytest.approx(float(expected), rel=1e-5)


def test_the_table_of_epochs_has_what_was_measured():
    row = {"problem": "cells", "updates": 3, "hyco": [1.0, 2.0, 3.0]}
    both = row | {"equinox": [2.0, 4.0, 6.0], "ratio": [0.4, 0.5, 0.6]}
    assert "| cells | 3 | 2.0 (1.0 to 3.0) | — | — |" in network_training.table([row])
    assert "0.50 (0.40 to 0.60)" in network_training.table([both])


@pytest.mark.parametrize("name", ["Burgers, all points", "Heat", "Gray-Scott"])
def test_truth_is_the_model_s_at_its_places(name):
    """Of the first times: hyco's states at the places are those that the peers are given."""
    problem = inversions.PROBLEMS[name]
    x, t, truth = problem.data()
    equation, cells = problem.model()
    assert np.diff(t) == pytest.approx(equation.dt)
    h = equation.layout.grid.spacing[0]
    away = equation.layout.grid.centers("x")[cells] - x
    assert np.abs(np.where(np.abs(away) > h, np.abs(away) - 2, away)).max() < 1e-9  # both ends are one cell
    assert set(problem.true) == set(problem.guess) == set(problem.bounds)
    assert truth.shape == (len(t), len(equation.layout.channels), len(x))


def test_draws_have_noise_behind_the_start_and_as_many_points_as_asked():
    problem = inversions.PROBLEMS["Burgers, 2000 points"]
    data, (_, _, truth) = inversions.measured(problem, 1), problem.data()
    assert data["mask"][1:].sum() == 2000
    assert np.array_equal(data["values"][0], truth[0])
    assert (data["values"] - truth)[1:].std() == pytest.approx(0.01 * truth.std(), rel=0.02)


@pytest.mark.slow
def test_heat_is_found_and_compared():
    problem = inversions.PROBLEMS["Heat"]
    (ours,) = inversions.new_lines(problem, "Heat", 0, [], None)
    assert abs(ours["errors"]["diffusivity"]) < 5e-3
    theirs = {**ours, "solver": "pysindy 1/5", "errors": {"diffusivity": 10 * ours["errors"]["diffusivity"]}}
    assert theirs["seconds"] > 0
    assert "| Heat | pysindy 1/5 | 1 |" in inversions.table([ours, theirs])
    assert inversions.table([ours, theirs]).endswith("| 1.0 | 0.10 |")
    assert list(inversions.new_lines(problem, "Heat", 0, [ours], None)) == []


def test_the_bound_is_that_of_the_exact_solution():
    """∂u/∂D of a wave that decays is -k² t times itself."""
    problem, (x, t, _) = inversions.PROBLEMS["Heat"], coefficients.heat_data()
    data, rate = inversions.measured(problem, 0), coefficients.DIFFUSIVITY
    slopes = sum(
        -(k**2) * t[:, None] * size * np.exp(-rate * k**2 * t)[:, None] * np.sin(k * x + phase)
        for k, size, phase in coefficients.WAVES
    )
    expected = data["noise"][0] / np.linalg.norm(slopes) / rate
    assert inversions.bounds_of(problem, data)["diffusivity"] == pytest.approx(expected, rel=1e-4)


def test_time_to_an_error_is_that_at_which_all_coefficients_have_it_first():
    history = [(1.0, {"a": 0.1, "b": -0.01}), (2.0, {"a": -0.01, "b": 0.03}), (3.0, {"a": 0.02, "b": 0.0})]
    assert inversions.first_within(history, {"a": 0.02, "b": 0.02}) == 3.0
    assert inversions.first_within(history, {"a": 0.01, "b": 0.03}) == 2.0
    assert inversions.first_within(history, {"a": 0.01, "b": 0.01}) is None


def test_what_a_network_has_not_reached_is_a_lower_bound_of_the_ratio():
    ours = {"problem": "Heat", "solver": "hyco", "draw": 0, "errors": {"diffusivity": 1e-3}, "seconds": 0.5}
    history = [[20.0, {"diffusivity": 0.3}], [40.0, {"diffusivity": 0.1}]]
    theirs = {"solver": "deepxde", "errors": {"diffusivity": 0.1}, "seconds": 40.0, "history": history}
    slower = ours | {"draw": 1, "seconds": 5.0}  # of another draw
    assert "| 0.50 | not in 40 | > 80 |" in inversions.pinn_table([ours, slower, ours | theirs])
    history.append([50.0, {"diffusivity": 5e-4}])
    assert "| 0.50 | 50 | 100 |" in inversions.pinn_table([ours, ours | theirs])


class Deaf:
    """A peer that keeps what it is asked, and answers the truth."""

    def __init__(self, problem):
        self.problem, self.asked = problem, []

    def ask(self, problem, **asked):
        with np.load(problem) as data:
            self.asked.append(asked | {"shape": data["values"].shape, "seen": int(data["mask"].sum())})
        return {"estimates": self.problem.true, "seconds": 1.0}


def test_peers_get_what_is_measured_and_networks_sixty_times_as_long():
    """pysindy the grid of the places and times, DeepXDE the points; what there is a line of is not asked again."""
    problem = dataclasses.replace(inversions.PROBLEMS["Heat, 16 places, 10 times"], parts=(5,), pinn_draws=1, limit=3.0)
    peer = Deaf(problem)
    ours = {"problem": "heat", "draw": 0, "solver": "hyco", "errors": {"diffusivity": 0.1}, "seconds": 0.5}
    found = list(inversions.new_lines(problem, "heat", 0, [ours], peer))
    assert [line["solver"] for line in found] == ["pysindy 1/5", "deepxde"]
    weak_form, network = peer.asked
    assert (weak_form["shape"], weak_form["part"]) == ((11, 1, 16), 5)
    assert (network["shape"], network["seen"], network["limit"]) == ((41, 1, 64), 11 * 16, 30.0)
    assert list(inversions.new_lines(problem, "heat", 0, [ours, *found], peer)) == []


def test_states_at_the_start_are_those_of_the_places_that_are_measured():
    problem = inversions.PROBLEMS["Heat, 16 places"]
    data = inversions.measured(problem, 0)
    seen = inversions.observed(problem, data)
    assert int(seen.mask.sum()) == 40 * 16
    data["values"][0, :, 1::4] = np.nan  # places that are not
    start = inversions.observed(problem, data).initial_states[0].numpy()
    assert np.abs(start - problem.data()[2][0]).max() < 1e-12


def test_what_the_bound_leaves_is_of_the_best_of_the_peers():
    ours = {"problem": "Heat", "draw": 0, "solver": "hyco", "errors": {"diffusivity": 1e-3}, "seconds": 0.5}
    ours["bounds"] = {"diffusivity": 1e-3}
    theirs = [
        ours | {"solver": f"pysindy 1/{part}", "errors": {"diffusivity": error}}
        for part, error in ((5, 4e-3), (10, 0.1))
    ]
    text = " ".join(inversions.what_bounds_allow([ours, *theirs]).split())
    assert "Heat: diffusivity 0.25." in text
    assert text.endswith("cannot be had where that is more: Heat: diffusivity.")
    theirs[0]["errors"]["diffusivity"] = 0.01
    assert inversions.what_bounds_allow([ours, *theirs]).split()[-3:] == ["Heat:", "diffusivity", "0.10."]
    assert inversions.what_bounds_allow([ours]) == ""


@pytest.mark.parametrize("name", [name for name, problem in work_precision.PROBLEMS.items() if problem.same])
def test_schemes_for_jax_are_hyco_s(name):
    """With NumPy in the place of JAX: the same states after three steps."""
    problem, steps = work_precision.PROBLEMS[name], 3
    equation = problem.equation(problem.steps[0], **problem.one_step)
    start = work_precision.states_of(problem, equation.layout.grid, len(equation.layout.channels))
    values = equation.parameter_tensors(torch.float64)
    with torch.no_grad():
        expected = rollout(Stepper(equation).bind(start, values), start, steps)[:, -1].numpy()
    numbers = {key: float(value) for key, value in values.items()}
    scheme = jax_schemes.SCHEMES[problem.section["name"]]
    forward, step, backward = scheme(np, problem.cells, problem.size, equation.dt, numbers)
    state = forward(start.numpy())
    for _ in range(steps):
        state = step(state)
    assert np.abs(backward(state) - expected).max() < 1e-13


def test_waves_of_the_heat_problem_decay_as_they_should():
    x, t, truth = coefficients.heat_data()
    slopes = np.gradient(truth[:, 0], t, axis=0)[1:-1]
    bent = np.fft.irfft(-np.square(np.fft.rfftfreq(64, 1 / 64)) * np.fft.rfft(truth[1:-1, 0]), 64)
    assert np.abs(slopes - coefficients.DIFFUSIVITY * bent).max() < 1e-3
    assert torch.from_numpy(x).diff().std() < 1e-12

"""Every experiment of the project is valid, and as it is described."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hyco.config import parse
from hyco.equations.ranges import covering
from hyco.equations.registry import build_equation
from hyco.stepping.generation import initial_states, simulate

CONF = Path(__file__).parents[2] / "conf"
EXPERIMENTS = sorted(p.name for p in CONF.iterdir() if (p / "parameters.yml").exists() and p.name != "base")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_is_valid(experiment, parameters):
    assert parse(parameters(experiment)).experiment == experiment


def covered_starts(c, equation, seeds):
    """The states that simulations begin with, by seed; the ranges that are auto cover all."""
    for seed in range(seeds):
        starts = initial_states(equation, c.generation, seed)
        assert covering(equation, equation.reach(starts)).unsuitable(starts) is None, seed
        yield seed, starts


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_starts_of_four_seeds_are_covered_and_one_goes_to_the_end(experiment, parameters):
    c = parse(parameters(experiment))
    equation = build_equation(c.equation.model_dump())
    starts = dict(covered_starts(c, equation, 4))[c.compare.seeds[0]]
    simulate(equation, starts if equation.accelerates else starts[:1], c.generation.steps)


@pytest.mark.study
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_data_of_twenty_seeds_can_be_made(experiment, parameters):
    c = parse(parameters(experiment))
    equation = build_equation(c.equation.model_dump())
    for seed, starts in covered_starts(c, equation, 20):
        # Where nothing gets faster than it starts, and the starts are covered, a few simulations stand for all.
        if equation.accelerates or seed in c.compare.seeds[:2]:
            simulate(equation, starts, c.generation.steps)


def test_the_two_named_examples_are_as_they_are_described(parameters):
    minimal, full = parse(parameters("minimal")), parse(parameters("full"))
    assert minimal.equation.grid.resolution == full.equation.grid.resolution == (128, 128)
    assert (minimal.observation.train_sim, minimal.hybrid.epochs, minimal.hybrid.num_predict_steps) == ([0], 10, 5)
    assert (full.observation.train_sim, full.observation.val_sim) == ([0, 1, 2, 3, 4], [5, 6])
    h = full.hybrid
    assert (h.epochs, h.num_predict_steps, h.alpha, h.interleave_frequency, h.warmup_epochs) == (100, 20, 0.6, 2, 10)
    s = h.synthetic
    assert (s.learning_rate, s.batch_size, s.optimizer, s.scheduler.name) == (1e-4, 16, "adam", "cosine")
    assert (s.weight_decay, s.use_sliding_window) == (1e-5, False)
    p = h.physical
    assert (p.method, p.abs_tol, p.max_iterations, p.suppress_convergence_errors) == ("L-BFGS-B", 1e-6, 5, True)
    assert (h.save_interval, h.save_best_only, h.validate_every, h.validation_rollout) == (10, True, 5, True)


def test_the_users_experiment_is_as_it_is_described(parameters):
    c = parse(parameters("burgers_2d"))
    assert c.equation.grid.resolution == (128, 128)
    assert (c.observation.train_sim, c.observation.val_sim, c.observation.test_sim) == ([0, 1, 2, 3, 4], [5], [6, 7])
    h = c.hybrid
    assert (h.epochs, h.num_predict_steps, h.alpha, h.interleave_frequency, h.warmup_epochs) == (50, 10, 0.5, 1, 5)
    assert (h.synthetic.learning_rate, h.synthetic.batch_size) == (1e-4, 16)


@pytest.mark.slow
def test_sympy_is_imported_for_equations_by_formula_alone(parameters):
    code = (
        "import json, sys; from hyco.config import parse; parse(json.load(sys.stdin));"
        "assert not {'torch._dynamo', 'sympy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], input=json.dumps(parameters("burgers_1d")).encode(), check=True)

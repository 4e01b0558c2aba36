"""Networks, physics and hybrids on measurements between states: what they learn from, and that a killed run goes on."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from hyco.config import resolve_hybrid
from hyco.equations.registry import build_equation
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.hybrid.trust import Misfit
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.targets import SyntheticTargets
from hyco.losses import mean_square
from hyco.observations import Observations, PointOperator
from hyco.observations.interpolation import stencil
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper
from hyco.training.coordinate import CoordinateTrainer
from hyco.training.final import physical_estimate
from hyco.training.physical import train_physical
from hyco.training.synthetic import synthetic_trainer, train_synthetic
from hyco.training.validation import Validation

CPU = torch.device("cpu")
FINER, POINTS, SIGMA = 8, 80, 0.02
EQUATION = {
    "name": "burgers",
    "domain": {"x": {"size": 4.0, "resolution": 32}},
    "dt": 0.05,
    "max_speed": 3.0,
    "scheme": "spectral",
    "parameters": {"viscosity": 0.1},
}
MLP = {"network": {"name": "mlp", "width": 24, "depth": 2}, "num_predict_steps": 8, "updates_per_epoch": 5}


class Truth:
    """States of a simulation, as a model that knows them."""

    stepping = True

    def __init__(self, states):
        self.states = states

    def rollout(self, starts, steps, time=0.0):
        return self.states[:, 1 : steps + 1]


def measured(trajectories, equation, initial_state="exact", noise=SIGMA):
    """80 measurements of each of three simulations at random places and eighths of steps, by the same solver.

    Returns:
        Them, and the states at steps `[3, 9, 1, x]`.
    """
    random = torch.Generator().manual_seed(0)
    fine = build_equation({**EQUATION, "dt": EQUATION["dt"] / FINER})
    starts = trajectories[:3, 0]
    states = rollout(Stepper(fine).bind(starts, {}), starts, 8 * FINER)
    states = torch.cat([starts[:, None], states], dim=1)
    time = torch.randint(1, 8 * FINER + 1, (3, POINTS), generator=random).sort().values
    step = (time + FINER - 1) // FINER
    shape, width = (3, 9), max(int(torch.bincount(row).max()) for row in step)
    values = torch.zeros(*shape, 1, width, dtype=torch.float64)
    mask, offsets = torch.zeros(values.shape, dtype=torch.bool), torch.zeros(*shape, width, dtype=torch.float64)
    positions = torch.zeros(*shape, width, 1, dtype=torch.float64)
    for s in range(3):
        for n in range(1, 9):
            here = time[s][step[s] == n]
            x = 4 * torch.rand(len(here), 1, generator=random, dtype=torch.float64)
            at = PointOperator.of(stencil(fine.layout, x[None, :, None], "cubic"))
            k = slice(len(here))
            values[s, n, 0, k] = at(states[s : s + 1, here])[0, :, 0, 0]
            mask[s, n, 0, k], offsets[s, n, k], positions[s, n, k] = True, here / FINER - n, x
    values = values + noise * torch.randn(values.shape, generator=random, dtype=torch.float64)
    if initial_state == "observed":
        starts = torch.full_like(starts, float(values[mask].mean()))
    seen = Observations(
        values=values,
        mask=mask,
        initial_states=starts,
        noise_std=torch.tensor([noise]),
        train=[0, 1],
        val=[2],
        layout=equation.layout,
        dt=equation.dt,
        initial_state=initial_state,
        positions=positions,
        interpolation="cubic",
        offsets=offsets,
    )
    return seen, states[:, ::FINER]


@pytest.fixture(scope="module")
def problem(make_problem):
    problem = make_problem(equation=EQUATION)
    problem.observations, problem.states = measured(problem.trajectories.tensors["trajectories"], problem.equation)
    return problem


def test_a_perfect_model_leaves_the_noise_over(problem):
    """Of windows of four steps, of whole rollouts, and in validation."""
    seen = problem.observations
    model = synthetic_trainer(seen, problem.synthetic(), 0, num_predict_steps=4, epochs=1, device=CPU)
    _, std = seen.statistics()
    expected = float((SIGMA / std).square())
    windows = model.windows
    truth = model.model.normalise(problem.states[:2])
    prediction, starts = windows.targets(truth), windows.starts(truth)
    loss = mean_square(*model.data.errors(prediction, torch.arange(len(windows)), starts))
    assert float(loss) == pytest.approx(expected, rel=4 * math.sqrt(2 / 160))
    assert abs(Misfit(seen, [0, 1])(Truth(problem.states[:2]))) < 4 * math.sqrt(2 / 160)
    score = Validation(seen, rollout=True)(Truth(problem.states[2:]))["rollout"]
    size = seen.values[2][seen.mask[2]].square().mean().sqrt()
    assert score == pytest.approx(float(SIGMA / size), rel=4 / math.sqrt(160))


def test_a_network_that_steps_states_trains_on_times_between_them(problem):
    config = problem.synthetic(epochs=40, learning_rate=1e-2)
    steps = list(train_synthetic(problem.observations, config, 0, configuration={}, device=CPU))
    history = [metrics for _, metrics in steps]
    assert history[-1]["metrics"]["synthetic_loss"] < 0.3 * history[0]["metrics"]["synthetic_loss"]
    assert history[-1]["metrics"]["validation_synthetic"] < 0.8 * history[0]["metrics"]["validation_synthetic"]


def test_a_coordinate_network_is_evaluated_at_the_times_themselves(problem):
    """Nothing is interpolated: its inputs are the times and places of the measurements."""
    seen = replace(problem.observations, train=[0])
    config = problem.synthetic(**MLP, epochs=30)
    model = synthetic_trainer(seen, config, 0, num_predict_steps=8, epochs=30, device=CPU)
    assert isinstance(model, CoordinateTrainer)
    mask = seen.mask[0, 1:, 0]
    time = (torch.arange(1, 9)[:, None] + seen.offsets[0, 1:])[mask] / 8
    inputs = model.measured.inputs[-len(time) :]
    assert torch.allclose(inputs[:, -1].double(), 2 * time - 1, atol=1e-6)
    assert torch.allclose(inputs[:, 0].double(), (0.5 * math.pi * seen.positions[0, 1:, :, 0][mask]).sin(), atol=1e-6)
    steps = list(train_synthetic(seen, config, 0, configuration={}, device=CPU))
    losses = [metrics["metrics"]["synthetic_loss"] for _, metrics in steps]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("initial_state", ["exact", pytest.param("observed", marks=pytest.mark.slow)])
def test_residuals_have_the_gradient_that_a_taylor_series_asks_for(problem, initial_state):
    """Along random directions of all coordinates: the remainder of first order falls with the square of the step."""
    seen, _ = measured(problem.trajectories.tensors["trajectories"], problem.equation, initial_state)
    prior = {"initial_state": {"length_scale": 0.8, "amplitude": 1.0}} if initial_state == "observed" else {}
    inverse = InverseProblem(problem.equation, seen, problem.physical(**prior), steps=8, device=CPU)
    assert len(inverse.data.needed(8)) == 9, "the state at t = 0 is needed to read between it and the next"
    random = torch.Generator().manual_seed(1)
    z = inverse.box.start[None].clone().requires_grad_()
    direction = torch.randn(z.shape[1], generator=random, dtype=torch.float64)

    def loss(step):
        return inverse.real(z + step * direction).square().sum()

    (gradient,) = torch.autograd.grad(loss(0.0), z)
    slope = float(gradient @ direction)
    remainders = [abs(float(loss(h) - loss(0.0)) - h * slope) for h in (4e-3, 2e-3, 1e-3)]
    rates = [math.log2(a / b) for a, b in pairwise(remainders)]
    assert rates == pytest.approx([2.0, 2.0], abs=0.1)


def test_copies_with_the_networks_predictions_are_those_of_each_alone(problem):
    seen = problem.observations
    inverse = InverseProblem(problem.equation, seen, problem.physical(), steps=8, device=CPU)
    starts = seen.initial_states[seen.train]
    targets = problem.states[seen.train, 1:9] + 0.1
    network = SyntheticTargets(starts, targets, torch.arange(len(starts)))
    z = torch.stack([inverse.box.start, inverse.box.start + 0.05])
    together = inverse.objective(z, 8, 0.5, network)
    for copy in range(2):
        assert torch.equal(together[copy], inverse.objective(z[copy : copy + 1], 8, 0.5, network)[0])


@pytest.mark.parametrize("steps", [8, 5])
def test_the_viscosity_is_found_from_times_between_states(problem, steps, caplog):
    """With a shorter horizon the last measurements are read from the states up to it."""
    config = problem.physical(method="Levenberg-Marquardt", num_predict_steps=steps)
    *_, (last, _) = train_physical(problem.equation, problem.observations, config, configuration={}, device=CPU)
    estimate = physical_estimate(last)["viscosity"]
    assert abs(estimate.value - 0.1) < 3 * estimate.std
    assert estimate.std < 0.01
    assert "Interpolation in time" not in caplog.text


def test_states_too_far_apart_are_warned_of(problem, caplog):
    """The times are the same, but the states are 3 and 8 times as far apart: the front moves on in between."""
    seen, _ = measured(problem.trajectories.tensors["trajectories"], problem.equation, noise=1e-5)
    config = problem.physical(method="Levenberg-Marquardt", num_predict_steps=8)
    list(train_physical(problem.equation, seen, config, configuration={}, device=CPU))
    told = [r.getMessage() for r in caplog.records if "Interpolation in time" in r.message]
    assert len(told) == 1
    assert "of 160 measurements" in told[0]
    assert "make equation.dt smaller, about 0.0" in told[0]


@pytest.mark.parametrize("synthetic", [{}, pytest.param(MLP, marks=pytest.mark.slow)])
def test_a_hybrid_learns_from_times_between_states_and_resumes_to_the_bit(problem, assert_resumable, synthetic):
    def run(checkpoint, resume):
        length = synthetic.get("num_predict_steps", 4)
        hybrid = {"num_predict_steps": length, "epochs": 5, "warmup_epochs": 2, "alpha": 0.7}
        physical = {"max_iterations": 5, "suppress_convergence_errors": True, "num_predict_steps": length}
        learn = problem.physical().model_dump(mode="json", include={"learnable_parameters"})
        network = {"network": {"name": "resnet", "filters": 8, "blocks": 1}, "learning_rate": 1e-2, "batch_size": 2}
        resolved = resolve_hybrid({**hybrid, "physical": physical}, network | synthetic, learn)
        return HybridTrainer(
            problem.equation,
            problem.observations,
            HybridConfig.model_validate(resolved),
            0,
            configuration={"hybrid": resolved, "seed": 0},
            device=CPU,
        ).train(checkpoint, resume)

    whole = assert_resumable(run, 1, 4)
    losses = [record["metrics"]["synthetic_loss"] for _, record in whole]
    assert losses[-1] < losses[0]
    assert whole[-1][1]["metrics"]["estimate.viscosity"] == pytest.approx(0.1, abs=0.2), "the guess is 0.5"


@pytest.mark.slow
def test_a_killed_inversion_with_unknown_starts_resumes_to_the_bit(problem, assert_resumable):
    seen, _ = measured(problem.trajectories.tensors["trajectories"], problem.equation, "observed")
    config = problem.physical(
        num_predict_steps=8,
        epochs=4,
        max_iterations=3,
        suppress_convergence_errors=True,
        initial_state={"length_scale": 0.8, "amplitude": 1.0},
    )

    def run(checkpoint, resume):
        return train_physical(
            problem.equation, seen, config, configuration={}, device=CPU, checkpoint=checkpoint, resume=resume
        )

    assert_resumable(run, 2)

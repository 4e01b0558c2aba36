"""A fixed alpha: what each model learns from at its ends, and that both become better between them."""

import pytest
import torch

from hyco.training.final import final_physical_model, final_synthetic_model
from hyco.training.physical import train_physical
from hyco.training.synthetic import train_synthetic

CPU = torch.device("cpu")


def history(steps):
    return [record for _, record in steps]


@pytest.mark.slow
def test_the_synthetic_loss_falls_and_the_estimate_improves(problem):
    trainer = problem.hybrid(epochs=12, synthetic={"use_sliding_window": True, "learning_rate": 1e-2})
    records = history(trainer.train())
    assert len(records) == 12
    assert records[-1]["metrics"]["synthetic_loss"] < 0.5 * records[0]["metrics"]["synthetic_loss"]
    estimate = trainer.physical.model.numbers()["viscosity"]
    assert abs(estimate.value - 0.1) < 0.05 < abs(0.5 - 0.1)
    assert estimate.identifiable


@pytest.mark.parametrize(
    "times", [{"mode": "full"}, pytest.param({"mode": "custom", "indices": [0, 2, 4]}, marks=pytest.mark.slow)]
)
def test_alpha_one_is_each_model_alone_to_the_bit(make_problem, assert_equal_bundles, times):
    """Also where some windows have nothing to learn from."""
    problem = make_problem({"time": times})
    trainer = problem.hybrid(alpha=1.0, epochs=6, warmup_epochs=2)
    *_, (last, _) = trainer.train()
    configuration = {"seed": 0}
    *_, (synthetic, _) = train_synthetic(
        problem.observations, problem.synthetic(epochs=6), 0, configuration=configuration, device=CPU
    )
    *_, (physical, _) = train_physical(
        problem.equation,
        problem.observations,
        problem.physical(epochs=4, max_iterations=5, suppress_convergence_errors=True),
        configuration=configuration,
        device=CPU,
    )
    last.metadata["configuration"] = physical.metadata["configuration"] = {"equation": {"name": "burgers"}}
    assert_equal_bundles(final_synthetic_model(last), final_synthetic_model(synthetic))
    assert final_physical_model(last)["parameters"] == final_physical_model(physical)["parameters"]


def mirrored(observations):
    """The last states of the training simulations, others than before with the same mean, spread and change."""
    values = observations.values[observations.train]
    first, last = observations.initial_states[observations.train].flatten(), values[:, -1].flatten()
    kept = torch.stack([torch.ones_like(first), first], dim=1)
    values[:, -1] = (2 * kept @ torch.linalg.lstsq(kept, last).solution - last).reshape(values[:, -1].shape)
    return values


@pytest.mark.parametrize(("alpha", "matters"), [pytest.param(0.0, False, marks=pytest.mark.slow), (0.5, True)])
def test_alpha_zero_uses_the_other_model_alone(make_problem, alpha, matters):
    """What is measured after t = 0 then changes nothing but error bars."""
    rollouts, estimates = [], []
    for changed in (False, True):
        problem = make_problem({"time": {"mode": "custom", "indices": [8]}})
        if changed:
            problem.observations.values[problem.observations.train] = mirrored(problem.observations)
        # Windows begin at t = 0 alone, and the search takes no scale from the data.
        options = {"num_predict_steps": 8, "physical": {"method": "Levenberg-Marquardt"}, "validate_every": 9}
        trainer = problem.hybrid(alpha=alpha, epochs=4, warmup_epochs=0, synthetic={"learning_rate": 1e-2}, **options)
        list(trainer.train())
        rollouts.append(trainer.synthetic.rollout(problem.observations.initial_states, 8))
        estimates.append(trainer.physical.model.theta)
    assert torch.allclose(*rollouts, rtol=1e-4, atol=1e-6) != matters
    assert torch.allclose(*estimates, rtol=1e-4) != matters


@pytest.mark.parametrize("initial", [pytest.param("full", marks=pytest.mark.slow), "observed"])
def test_alpha_one_is_the_network_alone_where_initial_states_are_noisy(make_problem, assert_equal_bundles, initial):
    """The physical model estimates them; the network may not know."""
    problem = make_problem({"initial_state": initial})
    prior = {"initial_state": {"length_scale": 0.8}} if initial == "observed" else {}
    trainer = problem.hybrid(alpha=1.0, epochs=2, warmup_epochs=0, physical=prior)
    *_, (last, _) = trainer.train()
    *_, (alone, _) = train_synthetic(problem.observations, problem.synthetic(epochs=2), 0, configuration={}, device=CPU)
    assert trainer.physical.updates == 2
    assert_equal_bundles(final_synthetic_model(last), final_synthetic_model(alone))


def test_observed_steps_are_the_horizon_of_the_physics_alone(problem, physics_alone):
    trainer = problem.hybrid(alpha=1.0, epochs=3, warmup_epochs=0, observed_steps=8)
    list(trainer.train())
    assert torch.equal(trainer.physical.model.coordinates, physics_alone(problem, epochs=3, num_predict_steps=8))
    assert not torch.equal(trainer.physical.model.coordinates, physics_alone(problem, epochs=3, num_predict_steps=4))
    assert trainer.synthetic.windows.length == 4


@pytest.mark.parametrize(
    "space",
    [pytest.param({"mode": "center", "fraction": 0.5}, marks=pytest.mark.slow), {"mode": "points", "count": 12}],
)
def test_masked_observations_train_both_models(make_problem, space):
    problem = make_problem({"space": space})
    trainer = problem.hybrid(epochs=5)
    records = history(trainer.train())
    assert records[-1]["metrics"]["synthetic_loss"] < records[0]["metrics"]["synthetic_loss"]
    estimate = trainer.physical.model.numbers()["viscosity"]
    assert abs(estimate.value - 0.1) < 0.05

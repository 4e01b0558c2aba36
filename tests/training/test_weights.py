"""Networks on measurements with noise of their own: a loss with weights, as without them where all are equal."""

from dataclasses import replace

import pytest
import torch

from hyco.losses import mean_square
from hyco.training.synthetic import synthetic_trainer, train_synthetic

NETWORKS = [
    {},
    {"network": {"name": "mlp", "width": 8, "depth": 1}, "num_predict_steps": 8, "updates_per_epoch": 3},
]


def first_losses(problem, seen, synthetic):
    steps = train_synthetic(
        seen,
        problem.synthetic(epochs=2, **synthetic),
        0,
        configuration={},
        device=torch.device("cpu"),
    )
    return [record["metrics"]["synthetic_loss"] for _, record in steps]


@pytest.mark.parametrize("synthetic", NETWORKS)
@pytest.mark.parametrize("space", [{"mode": "full"}, {"mode": "points", "count": 9}])
def test_equal_noise_of_all_measurements_is_that_of_the_channel(synthetic, space, make_problem):
    problem = make_problem({"space": space, "initial_state": "full", "train_sim": [0]})
    seen = problem.observations
    each = replace(seen, sigma_of_values=torch.ones_like(seen.values) * seen.noise_std)
    losses = first_losses(problem, seen, synthetic)
    assert first_losses(problem, each, synthetic) == pytest.approx(losses, rel=1e-5)


def test_squares_are_weighed_with_the_inverse_of_the_variance(make_problem):
    problem = make_problem()
    seen = problem.observations
    sigma = 10 ** torch.rand(seen.values.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = replace(seen, sigma_of_values=sigma)
    trainer = synthetic_trainer(seen, problem.synthetic(), 0, num_predict_steps=4, epochs=1, device=torch.device("cpu"))
    which = torch.arange(len(trainer.windows))
    measured = trainer.windows.targets(seen.values[seen.train])
    guess = torch.zeros_like(measured)
    mean, std = seen.statistics()
    normalised = ((guess - mean[:, None]) / std[:, None]).float()
    found = mean_square(*trainer.data.errors(normalised, which, normalised[:, 0]))
    precision = 1 / sigma[seen.train] ** 2
    weights = trainer.windows.targets(precision / precision.mean())
    assert float(found) == pytest.approx(float((weights * (measured / std[:, None]) ** 2).mean()), rel=1e-5)

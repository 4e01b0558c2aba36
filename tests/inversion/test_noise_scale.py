"""The level of the noise that makes the measurements most likely, beside unknowns with a prior."""

from types import SimpleNamespace

import pytest
import torch

from hyco.inversion.noise_scale import most_likely_scale


def linear_problem(noise, *, rows=40, unknowns=25, seed=0, at=0.0):
    """y = J x + noise in units of 1, x of unit variance but the first, which has wide bounds; near a point x = at."""
    random = torch.Generator().manual_seed(seed)
    jacobian = torch.randn(rows, unknowns, generator=random, dtype=torch.float64) * 30
    truth = torch.randn(unknowns, generator=random, dtype=torch.float64)
    values = jacobian @ truth + noise * torch.randn(rows, generator=random, dtype=torch.float64)
    z = torch.full((unknowns,), at, dtype=torch.float64)
    prior = torch.eye(unknowns, dtype=torch.float64)[1:]
    width = torch.full((unknowns,), 3.92, dtype=torch.float64)
    width[0] = 40.0
    return SimpleNamespace(
        dense=lambda: (jacobian @ z - values, jacobian),
        prior=lambda: (prior @ z, prior),
        noisy=None,
        box=SimpleNamespace(width=width),
    ), (jacobian, values)


@pytest.mark.parametrize("at", [0.0, 0.7])
def test_it_is_the_maximum_of_the_gaussian_density_of_the_measurements(at):
    linear, (jacobian, values) = linear_problem(5.0, at=at)
    variance = torch.ones(25, dtype=torch.float64)
    variance[0] = (40.0 / 4) ** 2
    explained = (jacobian * variance) @ jacobian.T
    scales = torch.logspace(-1, 3, 400, dtype=torch.float64)
    # The first unknown's prior is about the point itself.
    about = torch.zeros(25, dtype=torch.float64)
    about[0] = at
    density = [
        torch.distributions.MultivariateNormal(
            jacobian @ about, explained + float(s) ** 2 * torch.eye(40, dtype=torch.float64)
        ).log_prob(values)
        for s in scales
    ]
    best = float(scales[int(torch.stack(density).argmax())])
    assert most_likely_scale(linear, 0.1, 1000.0) == pytest.approx(best, rel=0.04)


def test_the_noise_is_found_though_there_are_nearly_as_many_unknowns_as_measurements():
    found = torch.tensor([most_likely_scale(linear_problem(5.0, seed=s)[0], 0.1, 1000.0) for s in range(20)])
    assert float(found.log().mean().exp()) == pytest.approx(5.0, rel=0.15)

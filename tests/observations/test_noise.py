"""Standard deviations of single measurements: what they must be, what follows for a channel, and for a network."""

from dataclasses import replace

import pytest
import torch

from hyco.losses import mean_square
from hyco.observations import Observations
from hyco.observations.weights import root_weights, sigma_of_mean_weight
from hyco.runtime.storage import read_bundle, write_bundle


def spread(seen, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * 10 ** torch.rand(seen.values.shape, generator=generator, dtype=torch.float64)


SPACES = [{"mode": "full"}, {"mode": "points", "count": 7}]


@pytest.mark.parametrize("space", SPACES)
def test_observations_with_them_come_back_from_a_file(space, tools, tmp_path):
    _, seen = tools.measure(tools.layout(), space=space)
    seen = replace(seen, sigma_of_values=spread(seen))
    path = tmp_path / "seen.safetensors"
    write_bundle(path, seen.to_bundle())
    again = Observations.from_bundle(read_bundle(path))
    assert torch.equal(again.sigma_of_values, seen.sigma_of_values)
    assert torch.equal(again.noise_std, seen.noise_std)


def test_the_noise_of_a_channel_is_their_root_mean_square_in_the_training_simulations(tools):
    _, seen = tools.measure(tools.layout())
    sigma = spread(seen)
    mask = seen.mask & (torch.rand(seen.mask.shape, generator=torch.Generator().manual_seed(1)) < 0.5)
    given = replace(seen, mask=mask, sigma_of_values=sigma)
    trained = sigma[given.train][mask[given.train]]
    assert float(given.noise_std) == pytest.approx(float(trained.square().mean().sqrt()), rel=1e-12)
    assert torch.equal(given.sigma_at([1, 0], slice(1, None))[mask[[1, 0], 1:]], sigma[[1, 0], 1:][mask[[1, 0], 1:]])


def test_where_nothing_was_measured_they_may_be_anything(tools):
    _, seen = tools.measure(tools.layout(), space={"mode": "points", "count": 7})
    assert not bool(seen.mask.all())
    sigma = torch.where(seen.mask, spread(seen), torch.nan)
    assert bool(replace(seen, sigma_of_values=sigma).sigma_of_values.isfinite().all())


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_where_something_was_measured_they_must_be_positive(wrong, tools):
    _, seen = tools.measure(tools.layout())
    sigma = spread(seen)
    sigma[1, 2, 0, 3, 4] = wrong
    with pytest.raises(
        ValueError, match=r"sigma_of_values must be .* 1 are not, first at \[1, 2, 0, 3, 4\]: "
    ) as error:
        replace(seen, sigma_of_values=sigma)
    assert len(str(error.value).splitlines()) == 1


def test_another_shape_is_refused(tools):
    _, seen = tools.measure(tools.layout())
    with pytest.raises(ValueError, match=r"sigma_of_values must be as values = "):
        replace(seen, sigma_of_values=spread(seen)[:, 1:])


def test_equal_ones_weigh_as_none(tools):
    _, seen = tools.measure(tools.layout())
    equal = replace(seen, sigma_of_values=torch.full_like(seen.values, 0.3))
    assert torch.allclose(root_weights(equal), torch.ones_like(seen.values))
    assert root_weights(seen) is None
    assert float(sigma_of_mean_weight(equal)) == pytest.approx(0.3)


def test_a_weighted_mean_is_the_best_linear_one(tools):
    """The constant that minimises the weighted mean square is the mean with weights 1/σ² (Aitken)."""
    _, seen = tools.measure(tools.layout())
    seen = replace(seen, sigma_of_values=spread(seen))
    weights, values, sigma = (v[seen.train] for v in (root_weights(seen), seen.values, seen.sigma_of_values))
    c = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(mean_square((values - c) * weights), c)
    (slope_at_one,) = torch.autograd.grad(mean_square((values - c - 1) * weights), c)
    best = float(slope / (slope - slope_at_one))
    assert best == pytest.approx(float((values / sigma**2).sum() / (1 / sigma**2).sum()), rel=1e-9)
    both = weights * sigma
    assert torch.allclose(both, sigma_of_mean_weight(seen).expand_as(both))

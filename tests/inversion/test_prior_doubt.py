"""The doubt of a prior that was taken from the data: the mixture over priors, weighed by their evidence."""

import numpy as np
import pytest
import scipy.stats
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.inversion.initial_prior import InitialStatePrior
from hyco.inversion.initial_state import InitialStates
from hyco.inversion.prior_doubt import AMPLITUDES, LENGTHS, mixture, other_priors


def initial_states(length, boundary="neumann", axes=1, amplitude=1.5, **options):
    grid = Grid(("x", "y")[:axes], (0.0,) * axes, (2.0, 3.0)[:axes], (48, 20)[:axes])
    layout = Layout(grid, (FieldSpec("temperature", boundary=boundary),))
    prior = InitialStatePrior(length_scale=length, amplitude=amplitude, mean=0.0)
    states = torch.zeros((2, 1, *grid.resolution), dtype=torch.float64)
    return InitialStates(states, torch.ones(1), layout, prior, **options)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("boundary", ["periodic", "neumann", 0.0])
def test_other_lengths_scale_the_modes_as_a_prior_of_their_own_would(boundary, axes):
    one, other = initial_states(0.5, boundary, axes), initial_states(0.7, boundary, axes)
    scales = one.other_scales([0.5, 0.7])
    assert scales.shape == (2, len(one))
    assert torch.allclose(scales[0], torch.ones(len(one), dtype=torch.float64))
    # The variance of the states at each place, of the modes that both have, is that of the other prior.
    xi = torch.eye(one.per_simulation, dtype=torch.float64)
    both = torch.cat([scales[1, : one.per_simulation, None] * xi, torch.zeros_like(xi)], dim=1)
    variance = one.states(both)[:, 0].square().sum(dim=0)
    own = torch.cat([torch.eye(other.per_simulation), torch.zeros(other.per_simulation, other.per_simulation)], dim=1)
    expected = other.states(own.double())[:, 0].square().sum(dim=0)
    assert torch.allclose(variance, expected, rtol=1e-4, atol=1e-5)


def test_only_what_was_taken_from_the_data_is_doubted():
    states = initial_states(0.5)
    assert other_priors(states, length=False, amplitude=False) is None
    assert other_priors(states, length=False, amplitude=True).shape == (len(AMPLITUDES), len(states))
    assert other_priors(states, length=True, amplitude=True).shape == (len(AMPLITUDES) * len(LENGTHS), len(states))
    assert len(initial_states(0.5, found=True)) > len(states)


@pytest.mark.parametrize("upper", ["0.5*sin(t)", {"robin": {"a": "h", "b": 1.0, "c": 0.0}}])
def test_lengths_are_not_told_apart_where_the_prior_does_not_know_a_wall(upper):
    states = initial_states(0.5, {"x": {"lower": 0.0, "upper": upper}}, found=True)
    assert states.other_scales([0.5, 0.7]) is None
    assert other_priors(states, length=True, amplitude=False) is None


def test_the_mixture_is_that_of_bayes_rule():
    """y = A θ + B ξ + ε with ξ ~ N(0, s²) for several s: means and evidence from the normal density of y itself."""
    random = np.random.default_rng(0)
    n, p, q = 12, 2, 5
    jacobian = random.normal(size=(n, p + q))
    scales = np.stack([np.full(q, s) for s in (0.3, 1.0, 2.5)])
    prior = np.concatenate([np.eye(p) / 3.0, np.zeros((p, q))], axis=1)
    y = jacobian @ np.concatenate([[0.5, -1.0], random.normal(size=q)]) + random.normal(size=n)
    # The optimum under the second prior, as a search would have found it.
    precision = np.diag(np.concatenate([np.zeros(p), scales[1] ** -2.0])) + prior.T @ prior
    z = np.linalg.solve(jacobian.T @ jacobian + precision, jacobian.T @ y)

    log_evidence, means, covariances = [], [], []
    for s in scales:
        before = np.diag(np.concatenate([np.full(p, 9.0), s**2]))
        of_y = jacobian @ before @ jacobian.T + np.eye(n)
        log_evidence.append(scipy.stats.multivariate_normal(np.zeros(n), of_y).logpdf(y))
        gain = before @ jacobian.T @ np.linalg.inv(of_y)
        means.append(gain @ y)
        covariances.append(before - gain @ jacobian @ before)
    weights = np.exp(np.array(log_evidence) - max(log_evidence))
    weights /= weights.sum()
    expected = sum(w * (c + np.outer(m - z, m - z)) for w, c, m in zip(weights, covariances, means, strict=True))

    tensors = (jacobian, jacobian @ z - y, prior, prior @ z, z[p:], scales)
    found = mixture(*(torch.from_numpy(np.ascontiguousarray(a)) for a in tensors))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)
    assert weights.min() > 1e-3

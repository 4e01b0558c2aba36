"""The weighted loss and the reported errors, as they are defined."""

import math

import pytest
import torch

from hyco.losses import mean_square, weighted_loss
from hyco.metrics import masked_nrmse, nrmse_per_step
from hyco.runtime.words import percent


def test_the_masked_mean_is_over_observed_entries_only():
    error = torch.tensor([[1.0, 2.0, math.nan], [3.0, math.inf, 0.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert mean_square(error, mask) == pytest.approx(14 / 3)


def test_no_gradient_comes_from_outside_the_mask():
    error = torch.tensor([1.0, math.nan], requires_grad=True)
    mean_square(error, torch.tensor([True, False])).backward()
    assert error.grad.tolist() == [2.0, 0.0]


def test_the_loss_weighs_real_data_by_alpha_and_the_model_by_the_rest():
    real, model = torch.tensor(2.0), torch.tensor(10.0)
    assert weighted_loss(0.75, real, model) == pytest.approx(0.75 * 2 + 0.25 * 10)


def test_equal_groups_give_the_mean_of_per_sample_weights():
    """Weights alpha and 1 - alpha on the samples of one combined batch, normalised by their sum."""
    generator = torch.Generator().manual_seed(0)
    alpha, real, model = 0.3, torch.randn(5, 4, generator=generator), torch.randn(5, 4, generator=generator)
    weights = torch.cat([torch.full((5,), alpha), torch.full((5,), 1 - alpha)])
    per_sample = torch.cat([real, model]).square().mean(dim=1)
    expected = (weights * per_sample).sum() / weights.sum()
    assert weighted_loss(alpha, mean_square(real), mean_square(model)) == pytest.approx(float(expected))


def test_a_group_of_weight_zero_is_left_out_and_not_multiplied():
    assert weighted_loss(1.0, torch.tensor(2.0), None) == 2.0
    assert weighted_loss(0.0, None, torch.tensor(3.0)) == 3.0
    with pytest.raises(ValueError, match="needs real data"):
        weighted_loss(0.5, None, None)


def test_nrmse_is_relative_per_simulation_then_averaged():
    truth = torch.tensor([3.0, 4.0]).reshape(1, 1, 1, 2).repeat(2, 1, 1, 1)
    truth[1] *= 10
    prediction = truth.clone()
    prediction[0, 0, 0, 0] += 5.0
    per_step, flagged = nrmse_per_step(prediction, truth)
    assert per_step == [pytest.approx(0.5)]
    assert flagged == []


def test_a_truth_near_zero_is_flagged_and_not_divided_by():
    truth = torch.ones(1, 3, 1, 4)
    truth[0, 1] = 0.0
    per_step, flagged = nrmse_per_step(truth + 0.1, truth)
    assert flagged == [2]
    assert all(math.isfinite(v) for v in per_step)


def test_what_is_not_known_of_the_truth_is_left_out():
    truth = torch.full((2, 3, 1, 4), 2.0)
    truth[:, 1], truth[0, 2], truth[1, 2, 0, :3] = torch.nan, torch.nan, torch.nan
    prediction = torch.full_like(truth, 3.0)
    prediction[1, 2, 0, 0] = 1e6  # where nothing is known
    per_step, flagged = nrmse_per_step(prediction, truth)
    assert (per_step[0], per_step[2]) == (pytest.approx(0.5), pytest.approx(0.5))
    assert math.isnan(per_step[1])
    assert flagged == []


def test_masked_nrmse_ignores_what_was_not_observed_and_tells_divergence():
    observed = torch.ones(1, 2, 1, 4)
    mask = torch.ones(1, 2, 1, 4, dtype=torch.bool)
    mask[..., 3] = False
    prediction = observed.clone()
    prediction[..., 3] = 100.0
    assert masked_nrmse(prediction, observed, mask) == 0.0
    prediction[0, 0, 0, 0] = math.nan
    assert masked_nrmse(prediction, observed, mask) == math.inf


def test_the_mean_over_nothing_is_zero_and_has_a_gradient():
    nothing = torch.zeros((0, 3), requires_grad=True)
    loss = mean_square(nothing)
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_a_share_has_two_digits_and_no_powers_of_ten():
    assert [percent(share) for share in (0.0004, 0.0163, 0.999, 1.34)] == ["0.04 %", "1.6 %", "100 %", "130 %"]

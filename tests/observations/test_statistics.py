"""Means and standard deviations of what was measured, also of channels of which nothing was."""

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.observations import Observations
from hyco.observations.changes import change_std
from hyco.observations.statistics import largest, mean_and_std, together

WHERE = Layout(Grid(("x",), (0.0,), (1.0,), (8,)), (FieldSpec("u"), FieldSpec("v"), FieldSpec("w")))


def hidden_channel(noise=(0.0, 0.0, 0.0), **changes):
    """Three channels, of which v was never measured."""
    values = torch.randn(2, 5, 3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values[:, :, 2] = 10 + 4 * values[:, :, 2]
    mask = torch.ones_like(values, dtype=torch.bool)
    mask[:, :, 1] = False
    given = {"initial_state": "observed", "initial_states": torch.where(mask, values, 0.0)[:, 0]} | changes
    noise_std = torch.tensor(noise, dtype=torch.float64)
    return Observations(
        values=values, mask=mask, noise_std=noise_std, train=[0, 1], val=[], layout=WHERE, dt=0.1, **given
    )


def test_a_channel_that_was_never_measured_is_as_wide_as_the_widest_about_zero():
    seen = hidden_channel()
    mean, std = seen.statistics()
    for c in (0, 2):
        assert float(mean[c]) == pytest.approx(float(seen.values[:, :, c].mean()))
        assert float(std[c]) == pytest.approx(float(seen.values[:, :, c].std(correction=0)))
    assert (float(mean[1]), float(std[1])) == (0.0, float(std[2]))


def test_its_changes_are_as_large_as_its_states_and_those_of_the_others_their_own():
    seen = hidden_channel()
    change = change_std(seen)
    for c in (0, 2):
        steps = seen.values[:, 1:, c] - seen.values[:, :-1, c]
        assert float(change[c]) == pytest.approx(float(steps.square().mean().sqrt()))
    assert float(change[1]) == float(seen.statistics()[1][1])


def test_it_is_compared_with_the_largest_noise_of_the_others():
    std = hidden_channel().statistics()[1]
    known = hidden_channel(noise=(0.05, 0.0, 0.02)).sigma.flatten()
    assert known.tolist() == pytest.approx([0.05, 0.05 / float(std[0]) * float(std[1]), 0.02])
    assert hidden_channel().sigma.flatten().tolist() == pytest.approx((1e-3 * std).tolist())


def test_nothing_at_all_is_refused():
    nothing = torch.zeros(1, 3, 2, 4)
    with pytest.raises(ValueError, match="leave nothing observed in the training simulations"):
        mean_and_std([(nothing, nothing.bool())])


def test_one_value_has_itself_as_its_mean():
    values = torch.arange(12, dtype=torch.float64).reshape(1, 3, 2, 2)
    mask = torch.ones_like(values, dtype=torch.bool)
    mask[:, :, 1] = False
    mask[0, 2, 1, 0] = True
    mean, std = mean_and_std([(values, mask)])
    assert float(mean[1]) == 10.0
    assert float(std[1]) == float(std[0])


def test_values_of_all_channels_together_are_those_of_places_where_all_are_known():
    values = torch.arange(2 * 3 * 2 * 5, dtype=torch.float64).reshape(2, 3, 2, 5)
    mask = torch.ones_like(values, dtype=torch.bool)
    mask[0, 1, 0, 2] = mask[1, 2, 1] = False
    rows = together([(values, mask)], 1000)
    wanted = values.transpose(2, 3)[mask.transpose(2, 3).all(dim=-1)]
    assert rows.tolist() == wanted.tolist()
    assert len(rows) == 30 - 1 - 5


def test_of_many_values_a_share_of_all_times_and_places_is_taken():
    values = torch.arange(20 * 10 * 30, dtype=torch.float64).reshape(20, 10, 1, 30)
    rows = together([(values, torch.ones_like(values, dtype=torch.bool))], 400).flatten()
    assert 300 < len(rows) <= 400
    assert len(set((rows // 300).tolist())) > 15
    assert len(set((rows % 30).tolist())) > 6


def test_the_largest_distance_from_the_mean_is_of_known_values():
    seen = hidden_channel()
    mean, _ = seen.statistics()
    wanted = (seen.values - mean[:, None]).abs().amax(dim=(0, 1, 3))
    assert largest(seen.measured(), mean).tolist() == [float(wanted[0]), 0.0, float(wanted[2])]
    assert len(together(seen.measured())) == 0

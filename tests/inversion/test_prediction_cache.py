"""Rollouts are computed once while the parameters stay, and kept within bounds."""

import torch

from hyco.inversion.prediction_cache import PredictionCache

THETA = torch.tensor([0.5])


class Counted:
    """A prediction that counts its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, starts, theta, steps, time):
        self.calls.append((len(starts), steps))
        return theta * starts[:, None].expand(-1, steps, *starts.shape[1:])


def test_a_prediction_is_computed_once_while_the_parameters_stay():
    predict = Counted()
    cache, starts = PredictionCache(predict), torch.rand(2, 1, 8)
    first = cache(starts, THETA, 3)
    assert torch.equal(cache(starts.clone(), THETA.clone(), 3), first)
    assert predict.calls == [(2, 3)]
    # Other steps, other starts (changed in place, too), and other parameters are other predictions.
    cache(starts, THETA, 4)
    starts += 0.1
    changed = cache(starts, THETA, 3)
    assert not torch.equal(changed, first)
    assert not torch.equal(cache(starts, 0.9 * THETA, 3), changed)
    assert predict.calls == [(2, 3), (2, 4), (2, 3), (2, 3)]


def test_a_prediction_from_another_time_is_another_prediction():
    predict, starts = Counted(), torch.rand(2, 1, 8)
    cache, times = PredictionCache(predict), torch.tensor([0.0, 0.5])
    for time in (0.0, 0.5, times, times.clone(), torch.tensor(0.5), times + 1):
        cache(starts, THETA, 3, time)
    assert len(predict.calls) == 4


def test_predictions_that_are_kept_have_an_end():
    starts = torch.rand(1, 1, 32, dtype=torch.float64)
    cache = PredictionCache(Counted(), most_bytes=3 * 2 * 32 * 8)
    for factor in (1.0, 0.9, 0.8, 0.7):
        cache((starts * factor), THETA.double(), 2)
    assert len(cache) == 3
    few = PredictionCache(Counted(), most=2)
    for factor in (1.0, 0.9, 0.8):
        few(starts * factor, THETA.double(), 2)
    assert len(few) == 2


def test_what_is_larger_than_the_bound_is_given_but_not_kept():
    cache = PredictionCache(Counted(), most_bytes=100)
    assert cache(torch.rand(4, 1, 32), THETA, 2).shape == (4, 2, 1, 32)
    assert len(cache) == 0

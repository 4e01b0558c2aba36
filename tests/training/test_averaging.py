"""The moving average of a network's weights."""

import pytest
import torch

from hyco.training.averaging import AveragedWeights


@pytest.mark.parametrize("left_out", [(), (0,), (1, 3)])
def test_the_moving_average_is_what_it_says(left_out):
    """a ← d a + (1 - d) w, with a decay that grows from 2/11 to its value, over the updates that were taken."""
    model = torch.nn.Linear(1, 1, bias=False)
    averaged, expected, count = AveragedWeights(model, 0.5), None, 0
    for number, weight in enumerate([3.0, -1.0, 4.0, 10.0, 2.0]):
        torch.nn.init.constant_(model.weight, weight)
        averaged.update(model, torch.tensor(number not in left_out))
        if number in left_out:
            continue
        decay = min(0.5, (1 + count) / (10 + count))
        expected = weight if expected is None else decay * expected + (1 - decay) * weight
        count += 1
    assert float(averaged.module.weight.detach()) == pytest.approx(expected)
    assert float(averaged.updates) == count

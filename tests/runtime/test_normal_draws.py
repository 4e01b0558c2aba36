"""Normal numbers in parts are those of one draw."""

import pytest
import torch

from hyco.runtime.random_streams import NormalDraws, stream


@pytest.mark.parametrize("count", [5, 16, 17, 31, 32, 33, 50, 1001])
@pytest.mark.parametrize("part", [1, 7, 16, 100])
def test_parts_are_one_draw_to_the_bit(count, part):
    draws = NormalDraws(stream(3, "noise"), count)
    found = [draws.take(min(part, count - first)) for first in range(0, count, part)]
    assert torch.equal(torch.cat(found), torch.randn(count, generator=stream(3, "noise"), dtype=torch.float64))
    with pytest.raises(ValueError, match="1 numbers more"):
        draws.take(1)

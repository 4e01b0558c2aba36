"""The baseline that nothing changes."""

import torch

from hyco.baselines.persistence import persistence


def test_persistence_repeats_the_initial_state():
    start = torch.randn(2, 1, 5)
    assert torch.equal(persistence(start, 3)[:, 2], start)

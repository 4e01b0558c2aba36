"""The state of an optimiser in a checkpoint."""

import torch

from hyco.training.checkpoints import optimizer_tensors, restore_optimizer


def test_what_an_optimiser_remembers_comes_back_in_the_memory_format_of_the_weights():
    weights = torch.nn.Parameter(torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last))
    (weights**2).sum().backward()
    optimizers = [torch.optim.Adam([weights]) for _ in range(2)]
    optimizers[0].step()
    stored = {name: value.contiguous() for name, value in optimizer_tensors(optimizers[0]).items()}
    restore_optimizer(optimizers[1], stored)
    before, after = (optimizer.state[weights] for optimizer in optimizers)
    for key, value in before.items():
        assert torch.equal(after[key], value)
        assert after[key].stride() == value.stride()

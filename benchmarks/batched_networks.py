"""Eight small networks trained in one batch beside eight that are trained one after the other: does it pay on a CPU?

    OMP_NUM_THREADS=1 python benchmarks/batched_networks.py 2> /dev/null

(PyTorch warns of every operation that `vmap` does one by one.)

The network of burgers_1d, of eight seeds, each with its own batch of 4 states of 128 cells: rollouts of 5 steps, mean
squares, gradient, Adam. Batched: `torch.func.stack_module_state`, `functional_call` under `vmap`, one Adam on the
stacked weights. Printed are seconds of the processor for one update of all eight, the least of several blocks, and how
far the losses are apart after all updates.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from hyco.networks.network import build, network_config

SEEDS, BATCH, CELLS, STEPS, UPDATES, BLOCKS = 8, 4, 128, 5, 20, 7


def networks() -> list[nn.Module]:
    """One for each seed."""
    config = network_config({"name": "resnet", "filters": 24, "blocks": 2, "kernel_size": 5})
    return [build(config, in_channels=1, out_channels=1, boundaries=("periodic",), seed=i) for i in range(SEEDS)]


def _loss(step: Callable[[Tensor], Tensor], start: Tensor, targets: Tensor) -> Tensor:
    """The mean square over a rollout whose steps add what the network says."""
    state, losses = start, []
    for k in range(STEPS):
        state = state + step(state)
        losses.append((state - targets[:, k]).square().mean())
    return torch.stack(losses).mean()


def in_turn(starts: Tensor, targets: Tensor) -> tuple[list[float], Tensor]:
    """Seconds of each block of updates, and the losses in the end."""
    made = networks()
    optimisers = [torch.optim.Adam(network.parameters(), lr=3e-3) for network in made]
    seconds = []
    for _ in range(BLOCKS):
        begin = time.process_time()
        for _ in range(UPDATES):
            for i, (network, optimiser) in enumerate(zip(made, optimisers, strict=True)):
                optimiser.zero_grad()
                _loss(network, starts[i], targets[i]).backward()
                optimiser.step()
        seconds.append((time.process_time() - begin) / UPDATES)
    return seconds, torch.stack([_loss(n, starts[i], targets[i]).detach() for i, n in enumerate(made)])


def batched(starts: Tensor, targets: Tensor) -> tuple[list[float], Tensor]:
    """The same in one batch."""
    made = networks()
    weights, buffers = stack_module_state(made)
    skeleton = copy.deepcopy(made[0]).to("meta")
    weights = {name: value.detach().requires_grad_() for name, value in weights.items()}
    optimiser = torch.optim.Adam(weights.values(), lr=3e-3)

    def one(own: dict[str, Tensor], other: dict[str, Tensor], start: Tensor, target: Tensor) -> Tensor:
        return _loss(lambda state: functional_call(skeleton, (own, other), (state,)), start, target)

    update, seconds = vmap(grad_and_value(one)), []
    for _ in range(BLOCKS):
        begin = time.process_time()
        for _ in range(UPDATES):
            gradients, _ = update({k: v.detach() for k, v in weights.items()}, buffers, starts, targets)
            for name, value in weights.items():
                value.grad = gradients[name]
            optimiser.step()
        seconds.append((time.process_time() - begin) / UPDATES)
    with torch.no_grad():
        return seconds, vmap(one)(weights, buffers, starts, targets)


def main() -> None:
    """Measure both."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    starts = torch.randn(SEEDS, BATCH, 1, CELLS, generator=generator)
    targets = torch.randn(SEEDS, BATCH, STEPS, 1, CELLS, generator=generator)
    (turn, first), (batch, second) = in_turn(starts, targets), batched(starts, targets)
    print(f"in turn {1e3 * min(turn):.1f} ms, batched {1e3 * min(batch):.1f} ms: ratio {min(turn) / min(batch):.2f}")
    print(f"losses apart by {float((first - second).abs().max() / first.abs().max()):.1e}")


if __name__ == "__main__":
    main()

"""Training in equinox and optax for `network_training.py`: answers on standard output what it is asked, a line each.

Runs in the environment of the peers (`make bench-peers`), which has JAX, equinox and optax and knows nothing of hyco.

{"make": NAME, "problem": FILE, "rate": RATE, "clip": NORM} compiles an epoch; the answer is the losses of its updates.
{"run": NAME} runs one more; the answer is its processor time [s].
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax


class Block(eqx.Module):
    """x + conv(σ(conv(σ(x))))."""

    first: eqx.nn.Conv
    second: eqx.nn.Conv

    def __call__(self, x: Any) -> Any:
        """The block's output for one sample."""
        return x + self.second(jax.nn.silu(self.first(jax.nn.silu(x))))


class ResNet(eqx.Module):
    """A residual network at one resolution on a periodic box, from a state to its change."""

    lift: eqx.nn.Conv
    blocks: list[Block]
    head: eqx.nn.Conv

    def __call__(self, x: Any) -> Any:
        """The change of one sample."""
        x = self.lift(x)
        for block in self.blocks:
            x = block(x)
        return self.head(jax.nn.silu(x))


def convolution(problem: Any, name: str) -> eqx.nn.Conv:
    """A convolution with the weights that the problem gives it."""
    weight, bias = (jnp.asarray(problem[f"network.{name}.convolution.{kind}"]) for kind in ("weight", "bias"))
    outputs, inputs, *kernel = weight.shape
    made = eqx.nn.Conv(
        len(kernel), inputs, outputs, kernel[0], padding=kernel[0] // 2, padding_mode="CIRCULAR", key=jax.random.key(0)
    )
    parts = weight, bias.reshape(-1, *[1] * len(kernel))
    return eqx.tree_at(lambda c: (c.weight, c.bias), made, parts)


def network(problem: Any) -> ResNet:
    """The network with hyco's first weights."""
    count = sum(f"network.blocks.{i}.2.convolution.weight" in problem for i in range(100))
    blocks = [Block(convolution(problem, f"blocks.{i}.2"), convolution(problem, f"blocks.{i}.5")) for i in range(count)]
    return ResNet(convolution(problem, "lift"), blocks, convolution(problem, "head.1"))


class Training:
    """Epochs over the same batches: all updates of one epoch in one compiled function."""

    def __init__(self, problem: Any, rate: float, clip: float) -> None:
        starts, targets, scale = (jnp.asarray(problem[name]) for name in ("starts", "targets", "scale"))
        batches = jnp.asarray(problem["batches"])
        model, self._static = eqx.partition(network(problem), eqx.is_array)
        optimiser = optax.chain(optax.clip_by_global_norm(clip), optax.adam(rate))
        self._weights, self._state = model, optimiser.init(model)

        def loss(weights: Any, which: Any) -> Any:
            step = jax.vmap(eqx.combine(weights, self._static))

            def advance(state: Any, _: Any) -> tuple[Any, Any]:
                state = state + scale * step(state)
                return state, state

            states = jax.lax.scan(advance, starts[which], None, length=targets.shape[1], unroll=True)[1]
            return jnp.mean((states - jnp.swapaxes(targets[which], 0, 1)) ** 2)

        def update(carried: Any, which: Any) -> tuple[Any, Any]:
            weights, state = carried
            value, slopes = jax.value_and_grad(loss)(weights, which)
            changes, state = optimiser.update(slopes, state, weights)
            return (optax.apply_updates(weights, changes), state), value

        self._whole = jax.jit(lambda w, s: jax.lax.scan(update, (w, s), batches))
        self._single = jax.jit(lambda w, s, which: update((w, s), which))
        self._batches = list(batches)

    def as_a_whole(self) -> Any:
        """An epoch as one call; the losses."""
        (self._weights, self._state), losses = self._whole(self._weights, self._state)
        return jax.block_until_ready(losses)

    def in_turn(self) -> Any:
        """An epoch with a call for each update; the losses."""
        losses = []
        for which in self._batches:
            (self._weights, self._state), value = self._single(self._weights, self._state, which)
            losses.append(value)
        return jax.block_until_ready(jnp.stack(losses))


def seconds(work: Any) -> float:
    """Processor time of one run."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def main() -> None:
    """Answer until there are no more questions."""
    known: dict[str, Any] = {}
    for line in sys.stdin:
        asked, answer = json.loads(line), None
        if "make" in asked:
            with np.load(asked["problem"]) as problem:
                training = Training(dict(problem), asked["rate"], asked["clip"])
            answer = training.as_a_whole().tolist()
            training.in_turn()
            # The cheaper way of both is what it is compared with.
            ways = (training.as_a_whole, training.in_turn)
            known[asked["make"]] = min(ways, key=lambda way: min(seconds(way) for _ in range(3)))
        else:
            answer = seconds(known[asked["run"]])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

"""The side of JAX of `work_precision.py`: answers on standard output what it is asked on standard input, a line each.

Runs in the environment of the peers (`make bench-peers`), which has JAX and exponax and knows nothing of hyco.

{"make": NAME, "problem": FILE, "solver": {…}, "steps": N} makes a rollout by exponax, or of one of `jax_schemes` if the
solver has its name as "scheme"; the answer is its error.
{"run": NAME, "kind": "forward", "gradient" or "initial"} runs it once more; the answer is its processor time [s].
"""

from __future__ import annotations

import inspect
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import exponax
import jax
import jax.numpy as jnp
import numpy as np

from jax_schemes import SCHEMES

jax.config.update("jax_enable_x64", True)

Made = dict[str, Callable[[], Any]]
Rollout = Callable[[Any, Any], Any]


def stepper_of(name: str) -> Any:
    """A class of exponax's steppers."""
    return getattr(exponax.stepper, name, None) or getattr(exponax.stepper.reaction, name)


def with_complex_coefficients(step: Any, order: int, points: int = 16) -> Any:
    """A stepper with the coefficients of its order for a linear part that is not real.

    exponax takes the real part of every one, which is right where the linear part is real. These are the same means
    over a circle about L dt (A.-K. Kassam and L. N. Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214,
    doi:10.1137/S1064827502410633).
    """
    derivative = exponax.spectral.build_derivative_operator(step.num_spatial_dims, step.domain_extent, step.num_points)
    roots = jnp.exp(2j * jnp.pi * (jnp.arange(points) + 0.5) / points)
    z = step._build_linear_operator(derivative)[..., None] * step.dt + roots
    e, half = jnp.exp(z), jnp.exp(z / 2)
    if order == 2:
        terms = [(e - 1) / z, (e - 1 - z) / z**2]
    else:
        first = (-4 - z + e * (4 - 3 * z + z**2)) / z**3
        last = (-4 - 3 * z - z**2 + e * (4 - z)) / z**3
        terms = [*[(half - 1) / z] * 3, first, (2 + z + e * (z - 2)) / z**3, last]
    names = [f"_coef_{number}" for number in range(1, len(terms) + 1)]
    values = [step.dt * term.mean(axis=-1) for term in terms]
    return eqx.tree_at(lambda s: [getattr(s._integrator, name) for name in names], step, values)


def by_exponax(solver: dict[str, Any], size: float, time_span: float, steps: int) -> Rollout:
    """States after each step by one of its steppers, of a value of the number that is learnt and the first states."""
    kind = stepper_of(solver["name"])
    # Those of linear equations are exact, and have no order.
    order = {"order": solver["order"]} if "order" in inspect.signature(kind).parameters else {}

    def rollout(value: Any, states: Any) -> Any:
        # That of diffusion alone takes a traced number for each axis only.
        along = jnp.full(states.ndim - 2, value) if kind is exponax.stepper.Diffusion else value
        numbers = {**solver["numbers"], solver["learnt"]: along}
        step = kind(states.ndim - 2, size, states.shape[-1], time_span / steps, **order, **numbers)
        if solver["complex"]:
            step = with_complex_coefficients(step, solver["order"])

        def advance(state: Any, _: Any) -> tuple[Any, Any]:
            state = jax.vmap(step)(state)
            return state, state

        return jax.lax.scan(advance, states, None, length=steps)[1]

    return rollout


def by_scheme(solver: dict[str, Any], size: float, time_span: float, steps: int) -> Rollout:
    """The same by hyco's own scheme."""

    def rollout(value: Any, states: Any) -> Any:
        numbers = {**solver["numbers"], solver["learnt"]: value}
        functions = SCHEMES[solver["scheme"]](jnp, states.shape[-1], size, time_span / steps, numbers)
        forward, step, backward = functions

        def advance(state: Any, _: Any) -> tuple[Any, Any]:
            state = step(state)
            return state, backward(state)

        return jax.lax.scan(advance, forward(states), None, length=steps)[1]

    return rollout


def made(problem: Any, solver: dict[str, Any], steps: int) -> tuple[float, Made]:
    """The largest error of the last state relative to the largest value, and both kinds of work, compiled."""
    start, reference = jnp.asarray(problem["start"]), problem["reference"]
    by = by_scheme if "scheme" in solver else by_exponax
    rollout = by(solver, float(problem["size"]), float(problem["time"]), steps)

    def loss(value: Any, states: Any) -> Any:
        return jnp.sum(rollout(value, states) ** 2)

    def tangent(value: Any, states: Any) -> Any:
        return jax.jvp(lambda v: loss(v, states), (value,), (1.0,))

    value = float(solver["numbers"][solver["learnt"]])
    forward, by_tangent, by_tape = jax.jit(rollout), jax.jit(tangent), jax.jit(jax.value_and_grad(loss))
    by_states = jax.jit(jax.grad(loss, argnums=1))
    end = np.asarray(forward(value, start)[-1])
    kinds: Made = {
        "forward": lambda: jax.block_until_ready(forward(value, start)),
        "tangent": lambda: jax.block_until_ready(by_tangent(value, start)),
        "initial": lambda: jax.block_until_ready(by_states(value, start)),
        "tape": lambda: jax.block_until_ready(by_tape(value, start)),
    }
    # The cheaper way of both is what it is compared with.
    best = min(("tangent", "tape"), key=lambda kind: min(seconds(kinds[kind]) for _ in range(3)))
    kinds["gradient"] = kinds[best]
    return float(np.abs(end - reference).max() / np.abs(reference).max()), kinds


def seconds(work: Callable[[], Any]) -> float:
    """Processor time of one run."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def main() -> None:
    """Answer until there are no more questions."""
    known: dict[str, Made] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "make" in asked:
            with np.load(asked["problem"]) as problem:
                answer, known[asked["make"]] = made(dict(problem), asked["solver"], asked["steps"])
            for kind in ("forward", "gradient", "initial"):
                known[asked["make"]][kind]()
        else:
            answer = seconds(known[asked["run"]][asked["kind"]])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

"""The gradient of a long rollout, computed in segments, is that of the whole and keeps to a memory."""

import gc
import math
import weakref
from itertools import pairwise

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.stepping.bound_step import BoundStep
from hyco.stepping.physical_model import PhysicalModel
from hyco.stepping.rollout import rollout
from hyco.stepping.segments import rollout_in_segments, segment_lengths, tape_bytes
from hyco.stepping.stepper import Stepper


def heat():
    return build_equation(
        {
            "name": "heat",
            "domain": {"x": {"size": 3.0, "resolution": 12}, "y": {"size": 2.0, "resolution": 10}},
            "boundary": {"x": "periodic", "y": {"lower": "neumann", "upper": 1.0}},
            "dt": 0.05,
            "max_diffusivity": 0.5,
            "parameters": {"diffusivity": "0.2 + 0.1 * sin(2 * x)"},
        }
    )


def leaves(equation, count=2):
    generator = torch.Generator().manual_seed(3)
    start = equation.initial_states(count, 1.0, 1.0, generator)
    values = equation.parameter_tensors(torch.float64)
    return [v.clone().requires_grad_(True) for v in (start, *values.values())], list(values)


@pytest.mark.parametrize(
    "lengths",
    [
        pytest.param((1,), marks=pytest.mark.slow),
        pytest.param((3,), marks=pytest.mark.slow),
        (4, 2),
        pytest.param((10,), marks=pytest.mark.slow),
        pytest.param((6, 3, 1), marks=pytest.mark.slow),
        pytest.param((50,), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "read",
    [
        None,
        pytest.param((1, 4, 5, 10), marks=pytest.mark.slow),
        pytest.param((3,), marks=pytest.mark.slow),
        pytest.param((10,), marks=pytest.mark.slow),
    ],
)
def test_the_gradient_in_segments_is_that_of_the_whole_rollout(lengths, read):
    equation = heat()
    stepper, found = Stepper(equation), []
    for segmented in (False, True):
        (start, *values), names = leaves(equation)
        step = stepper.bind(start, dict(zip(names, values, strict=True)))
        states = rollout_in_segments(step, start, 10, lengths, read) if segmented else rollout(step, start, 10, read)
        weight = torch.linspace(-1, 2, states.numel(), dtype=torch.float64).reshape(states.shape)
        found.append([states, *torch.autograd.grad((weight * states.square()).sum(), [start, *values])])
    assert torch.equal(found[0][0], found[1][0])
    for expected, gradient in zip(found[0][1:], found[1][1:], strict=True):
        assert torch.allclose(gradient, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.slow
def test_only_the_states_at_the_starts_of_segments_are_alive():
    alive, most = set(), 0

    def run(state, factor):
        nonlocal most
        state = torch.sin(factor * state)
        reference = weakref.ref(state, lambda r: alive.discard(r))
        alive.add(reference)
        most = max(most, len(alive))
        return state

    def largest(lengths):
        nonlocal most
        gc.collect()
        alive.clear()
        most = 0
        start, factor = torch.rand(1, 1, 4, requires_grad=True), torch.tensor(0.9, requires_grad=True)
        step = BoundStep(run, (factor,), 1)
        end = rollout_in_segments(step, start, 400, lengths, (400,)) if lengths else rollout(step, start, 400, (400,))
        end.sum().backward()
        return most

    assert largest(()) == 400
    assert largest((20,)) <= 45
    assert largest((50, 7)) <= 26


def test_the_lengths_of_segments_keep_to_the_budget():
    state, tape = 100, 4000
    assert segment_lengths(50, state, tape, 50 * tape) == ()
    for steps, budget in ((1000, 2e5), (10_000, 4e5), (10_000, 1.3e5), (100_000, 2e5)):
        lengths = segment_lengths(steps, state, tape, budget)
        held = steps / lengths[0] * state + sum(a / b * state for a, b in pairwise(lengths))
        assert held + lengths[-1] * tape <= 1.1 * budget
        assert lengths[0] <= steps
    # What cannot be done takes as little as it can, step by step.
    assert segment_lengths(10, state, tape, 1.0) == (1,)


def test_the_tape_of_a_step_is_what_it_leaves_for_the_gradient():
    factor = torch.rand(1000, dtype=torch.float64)
    start = torch.rand(1, 1, 1000, dtype=torch.float64)
    # cos of the sine's argument, once per step; the factor belongs to all steps.
    assert tape_bytes(BoundStep(lambda u, f: torch.sin(f * u), (factor,), 1), start) == 8 * 1000


def test_a_model_divides_its_rollouts_where_the_memory_is_short():
    equation = heat()
    model, found = PhysicalModel(equation, equation.layout), []
    for budget in (math.inf, 1e5):
        (start, *values), names = leaves(equation)
        states = model.rollout(start, dict(zip(names, values, strict=True)), 12, memory_budget=budget, read=[5, 9])
        found.append([states, *torch.autograd.grad(states.square().sum(), [start, *values])])
        assert ("_Segments" in type(states.grad_fn).__name__ + str(states.grad_fn.next_functions)) == (budget < 1e6)
    assert found[0][0].shape[1] == 2
    for expected, gradient in zip(*found, strict=True):
        assert torch.allclose(gradient, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


def test_a_state_that_is_not_finite_ends_a_gradient_without_an_error():
    equation = heat()
    (start, *values), names = leaves(equation)
    start = (start.detach() * float("nan")).requires_grad_(True)
    step = Stepper(equation).bind(start, dict(zip(names, values, strict=True)))
    gradients = torch.autograd.grad(rollout_in_segments(step, start, 6, (2,)).sum(), values)
    assert all(not bool(torch.isfinite(g).all()) for g in gradients)

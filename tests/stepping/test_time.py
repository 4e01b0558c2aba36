"""Steps that depend on the time: rollouts begin at any time, in every execution, with gradients and in segments."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from phi import math as phimath
from phi.math import batch

from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.fields import to_fields, to_tensor
from hyco.runtime.plugins import PluginError
from hyco.sections import merge
from hyco.stepping.bound_step import BoundStep
from hyco.stepping.field_rollout import physical_rollout
from hyco.stepping.generation import simulate
from hyco.stepping.physical_model import PhysicalModel
from hyco.stepping.rollout import rollout
from hyco.stepping.segments import rollout_in_segments, tape_bytes
from hyco.stepping.stepper import Stepper

F64 = torch.float64
TIMES = torch.tensor([0.7, 0.0, 2.3], dtype=F64)


@pytest.fixture(scope="module")
def rod(heated_rod):
    def build(**changes):
        return build_equation(merge(heated_rod.SECTION, changes))

    return build


@pytest.fixture(scope="module")
def equation(rod):
    return rod(substeps=2)


@pytest.fixture
def model(equation):
    return PhysicalModel(equation, equation.layout)


def starts(equation, count=3):
    return equation.initial_states(count, 0.8, 1.0, torch.Generator().manual_seed(1))


def values(equation, dtype=F64):
    return equation.parameter_tensors(dtype)


def clock(substeps, **keys):
    """A step whose states are the time at their last sub-step."""
    return BoundStep(lambda state, time: torch.zeros_like(state) + time, (), substeps, **keys)


def test_the_exact_solution_is_reached_with_the_order_of_the_scheme_from_any_time(rod):
    errors = []
    for substeps in (1, 2, 4, 8):
        own = rod(substeps=substeps)
        model = PhysicalModel(own, own.layout)
        begin = own.solution(TIMES)
        states = model.rollout(begin, values(own), 8, time=TIMES)
        exact = torch.stack([own.solution(TIMES + own.dt * n) for n in range(1, 9)], dim=1)
        errors.append(float((states - exact).abs().max()))
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert errors[-1] < 2e-4
    assert all(order == pytest.approx(2, abs=0.1) for order in orders)


def test_a_rollout_from_a_later_state_is_the_tail_of_one_from_the_beginning(equation, model):
    whole = model.rollout(starts(equation), values(equation), 12)
    tail = model.rollout(whole[:, 4], values(equation), 7, time=5 * equation.dt)
    assert torch.allclose(tail, whole[:, 5:], rtol=0, atol=1e-13)
    assert not torch.allclose(model.rollout(whole[:, 4], values(equation), 7), whole[:, 5:], atol=0.1)
    assert torch.equal(whole, simulate(equation, starts(equation), 12)[:, 1:])


@pytest.mark.parametrize("execution", ["plain", "jit", "traced", pytest.param("compiled", marks=pytest.mark.slow)])
def test_samples_that_begin_at_different_times_equal_runs_of_each(equation, execution):
    model = PhysicalModel(equation, equation.layout, execution)
    together = model.rollout(starts(equation), values(equation), 3, time=TIMES)
    alone = [
        model.rollout(start[None], values(equation), 3, time=float(time))
        for start, time in zip(starts(equation), TIMES, strict=True)
    ]
    assert model.stepper.execution == execution
    assert torch.allclose(together, torch.cat(alone), rtol=0, atol=1e-13)
    plain = PhysicalModel(equation, equation.layout, "plain").rollout(starts(equation), values(equation), 3, time=TIMES)
    assert torch.allclose(together, plain, rtol=0, atol=1e-13)


def test_single_precision_is_traced_too(equation):
    begin, parameters = starts(equation).float(), values(equation, torch.float32)
    plain, traced = (Stepper(equation, execution) for execution in ("plain", "traced"))
    for time in (0.7, TIMES):
        found, expected = (s.bind(begin, parameters, time)(begin, 4) for s in (traced, plain))
        assert found.dtype == expected.dtype == torch.float32
        assert torch.allclose(found, expected, rtol=0, atol=1e-6)
    assert traced.execution == "traced"


def test_the_time_is_an_input_of_the_graph_and_only_what_it_changes_is_in_the_loop(rod):
    equation = rod(substeps=2)  # whose step nobody has recorded
    stepper = Stepper(equation, "traced")
    for begin in (0.0, 0.5, torch.tensor(1.5), TIMES, TIMES + 1):
        step = stepper.bind(starts(equation), values(equation), begin)
    # One graph for a time, one for a time of each sample.
    assert len(stepper._programs) == 2
    for program in stepper._programs.values():
        state, time, *prepared = [node for node in program.graph.nodes if node.op == "placeholder"]
        assert (state.name, time.name) == ("state", "time")
        moving = {state, time}
        for node in program.graph.nodes:
            if node.op == "call_function":
                assert not moving.isdisjoint(node.all_input_nodes), f"{node} is the same in each step"
                moving.add(node)
        assert len(prepared) == len(step.inputs) > 0


def test_an_autonomous_equation_has_no_time_in_its_loop(heated_rod):
    heat = build_equation(
        {
            "name": "heat",
            "domain": heated_rod.SECTION["domain"],
            "dt": 0.1,
            "max_diffusivity": 0.2,
            "parameters": {"diffusivity": 0.1},
        }
    )
    stepper = Stepper(heat, "traced")
    step = stepper.bind(starts(heat), values(heat), TIMES)
    assert step.time is None
    (program,) = stepper._programs.values()
    assert "time" not in [node.name for node in program.graph.nodes]
    assert torch.equal(step(starts(heat), 7), stepper(starts(heat), values(heat)))


def test_the_time_of_a_sub_step_has_no_error_that_grows():
    steps, substeps, dt, begin = 1000, 3, 0.1, 0.3
    step = clock(substeps, time=torch.tensor(begin, dtype=F64), dt=dt)
    read = (1, 500, steps)
    found = rollout(step, torch.zeros(1, 1, 1, dtype=F64), steps, read).flatten().tolist()
    assert found == [begin + (n * substeps - 1) * dt / substeps for n in read]
    for lengths in ((100,), (300, 7)):
        assert (
            rollout_in_segments(step, torch.zeros(1, 1, 1, dtype=F64), steps, lengths, read).flatten().tolist() == found
        )


@pytest.mark.parametrize("lengths", [(3,), (6, 2)])
@pytest.mark.parametrize("time", [0.7, TIMES])
def test_the_gradient_in_segments_is_that_of_the_whole_rollout(equation, lengths, time):
    found, names = [], sorted(equation.parameters)
    weights = torch.rand(3, 3, 1, 16, dtype=F64, generator=torch.Generator().manual_seed(2))
    for own in ((), lengths):
        leaves = [v.clone().requires_grad_(True) for v in (starts(equation), *(values(equation)[n] for n in names))]
        step = Stepper(equation).bind(leaves[0], dict(zip(names, leaves[1:], strict=True)), time)
        read = (2, 7, 10)
        states = rollout_in_segments(step, leaves[0], 10, own, read) if own else rollout(step, leaves[0], 10, read)
        found.append([states, *torch.autograd.grad((weights * states).square().sum(), leaves)])
    assert torch.equal(found[0][0], found[1][0])
    for expected, gradient in zip(*found, strict=True):
        assert torch.allclose(gradient, expected, rtol=0, atol=1e-12 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("budget", [math.inf, 1e4])
def test_gradients_pass_a_taylor_test(equation, model, budget):
    names, begin = sorted(equation.parameters), starts(equation)
    moves = [0.05, 0.3, torch.rand(begin.shape, dtype=F64, generator=torch.Generator().manual_seed(3))]

    def loss(h, leaves=None):
        at = [values(equation)[n] + h * m for n, m in zip(names, moves, strict=False)] + [begin + h * moves[2]]
        at = at if leaves is None else leaves
        states = model.rollout(at[2], dict(zip(names, at, strict=False)), 9, time=TIMES, memory_budget=budget)
        return states.square().sum()

    leaves = [v.clone().requires_grad_(True) for v in (*(values(equation)[n] for n in names), begin)]
    gradients = torch.autograd.grad(loss(0.0, leaves), leaves)
    slope = sum(float((g * m).sum()) for g, m in zip(gradients, moves, strict=True))
    remainders = [abs(float(loss(h) - loss(0.0)) - h * slope) for h in (4e-2, 2e-2, 1e-2)]
    assert all(a / b == pytest.approx(4, rel=0.1) for a, b in pairwise(remainders))


def test_a_coarser_grid_and_a_correction_know_the_time(equation, rod):
    coarse = PhysicalModel(rod(domain={"x": {"resolution": 8}}), equation.layout)
    begin, parameters = coarse.transfer.prolong(coarse.transfer.restrict(starts(equation))), values(coarse.equation)
    whole = coarse.rollout(begin, parameters, 8)
    tail = coarse.rollout(whole[:, 2], parameters, 5, time=3 * equation.dt)
    assert torch.allclose(tail, whole[:, 3:], rtol=0, atol=1e-12)
    for model in (coarse, PhysicalModel(equation, equation.layout)):
        own = values(model.equation)
        found = model.rollout(begin, own, 4, time=TIMES, correction=lambda state: 0.9 * state)
        state, expected = begin, []
        for n in range(4):
            state = 0.9 * model.bind(state, own, TIMES + n * equation.dt)(state)
            expected.append(state)
        assert torch.allclose(found, torch.stack(expected, dim=1), rtol=0, atol=1e-12)


def test_the_memory_of_a_step_is_measured_with_its_time(equation):
    step = Stepper(equation).bind(starts(equation), values(equation), TIMES)
    assert tape_bytes(replace(step, inputs=tuple(v.requires_grad_() for v in step.inputs)), starts(equation)) > 0


def test_fields_are_rolled_out_from_a_time_too(equation, model):
    begin = starts(equation)
    for time, given in ((0.7, 0.7), (TIMES, phimath.wrap(TIMES.numpy(), batch("batch")))):
        with phimath.precision(64):
            fields = physical_rollout(equation, to_fields(begin, equation.layout), equation.parameters, 3, time=given)
            found = [to_tensor({"u": fields["u"].time[n]}, equation.layout) for n in range(3)]
        expected = model.rollout(begin, values(equation), 3, time=time)
        assert torch.allclose(torch.stack(found, dim=1), expected, rtol=0, atol=1e-13)


def test_a_static_problem_has_no_time(heated_rod):
    class Config(heated_rod.RodConfig):
        is_static = True

    class Solved(heated_rod.HeatedRod):
        config_class = Config

    static, rod = (kind(kind.config_class(**heated_rod.SECTION)) for kind in (Solved, heated_rod.HeatedRod))
    begin = starts(static)
    found = PhysicalModel(static, static.layout).rollout(begin, values(static), 2, time=TIMES)
    state = begin
    for n in range(2):
        state = Stepper(rod)(state, values(rod), 0.0)
        assert torch.equal(found[:, n], state)
    with phimath.precision(64):
        fields = physical_rollout(static, to_fields(begin, static.layout), static.parameters, 1, time=0.7)
        assert torch.allclose(to_tensor({"u": fields["u"].time[0]}, static.layout), found[:, 0], rtol=0, atol=1e-13)


def test_other_numbers_of_times_than_of_states_are_refused(equation):
    with pytest.raises(ValueError, match=r"time: expected a number or \[3\], one for each state, got \[2\]"):
        Stepper(equation).bind(starts(equation), values(equation), TIMES[:2])


WITHOUT_TIME = """
import heated_rod

class Forgetful(heated_rod.HeatedRod):
    def step(self, fields, parameters):
        return fields

class Late(heated_rod.HeatedRod):
    autonomous = True
    def __init__(self, config):
        super().__init__(config)
        self.autonomous = False

class Timeless(heated_rod.HeatedRod):
    autonomous = True
"""


def test_a_step_that_does_not_take_what_it_is_given_is_refused(heated_rod, write_module):
    write_module("rods", WITHOUT_TIME)
    assert isinstance(build_equation({**heated_rod.SECTION, "name": "rods:Late"}), Equation)
    for name, text in (("Forgetful", "autonomous is False, so that step takes the time too"), ("Timeless", "is True")):
        with pytest.raises(PluginError, match=text):
            build_equation({**heated_rod.SECTION, "name": f"rods:{name}"})

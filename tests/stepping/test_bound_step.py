"""Rollouts of more samples than the cache holds go part by part, and give what all of them at once do."""

from pathlib import Path

import pytest
import torch
import yaml

from hyco.equations.registry import build_equation
from hyco.sections import merge
from hyco.stepping import bound_step
from hyco.stepping.rollout import rollout
from hyco.stepping.samples import Samples
from hyco.stepping.stepper import Stepper

CONF = Path(__file__).parents[2] / "conf"
F64 = torch.float64
BURGERS = {
    "name": "burgers",
    "domain": {"x": {"size": 1.2, "resolution": 12}, "y": {"size": 1.0, "resolution": 10}},
    "dt": 0.015,
    "max_speed": 4.0,
    "scheme": "upwind",
    "parameters": {"viscosity": 0.05},
}


@pytest.fixture
def sizes(monkeypatch):
    """The numbers of samples of all sub-steps, where the cache holds two samples of 12 × 10 cells."""
    found = []
    run = bound_step.BoundStep.__call__

    def counted(self, state, number=0):
        found.append(len(state))
        return run(self, state, number)

    monkeypatch.setattr(bound_step, "_BYTES_AT_ONCE", 2 * 12 * 10 * 8)
    monkeypatch.setattr(bound_step.BoundStep, "__call__", counted)
    return found


def begins(equation, count):
    return equation.initial_states(count, 0.4, 1.0, torch.Generator().manual_seed(3))


def whole(monkeypatch, stepper, start, values, steps, read=None, time=0.0):
    with monkeypatch.context() as patch:
        patch.setattr(bound_step, "_BYTES_AT_ONCE", 2**40)
        return rollout(stepper.bind(start, values, time), start, steps, read)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "of each sample"])
@pytest.mark.parametrize("field", [False, True], ids=["number", "field"])
def test_parts_give_what_all_samples_give_at_once(sizes, monkeypatch, own, field):
    equation = build_equation(BURGERS)
    start, stepper = begins(equation, 7), Stepper(equation)
    viscosity = torch.linspace(0.02, 0.08, 7, dtype=F64) if own else torch.tensor([0.05], dtype=F64)
    if field:
        viscosity = viscosity[:, None, None] * (1 + torch.rand(1, 12, 10, dtype=F64))
    values = {"viscosity": viscosity if own or field else viscosity[0]}
    found = rollout(stepper.bind(start, values), start, 6, [2, 5])
    assert sizes == [2, 7] + [2] * 18 + [1] * 6  # a part and all of them, once, to see that they agree
    sizes.clear()
    expected = whole(monkeypatch, stepper, start, values, 6, [2, 5])
    assert set(sizes) == {7}
    assert found.shape == expected.shape == (7, 2, 2, 12, 10)
    assert torch.allclose(found, expected, rtol=0, atol=1e-14)


def test_each_part_begins_at_the_times_of_its_samples(sizes, monkeypatch, heated_rod):
    equation = build_equation(merge(heated_rod.SECTION, {"substeps": 2}))
    monkeypatch.setattr(bound_step, "_BYTES_AT_ONCE", 2 * 8 * equation.layout.grid.resolution[0])
    start, stepper = begins(equation, 5), Stepper(equation)
    values, times = equation.parameter_tensors(F64), torch.tensor([0.7, 0.0, 2.3, 1.1, 5.2], dtype=F64)
    for time in (times, 0.7):
        sizes.clear()
        found = rollout(stepper.bind(start, values, time), start, 4)
        assert set(sizes) - {5} == {2, 1}
        assert torch.allclose(found, whole(monkeypatch, stepper, start, values, 4, time=time), rtol=0, atol=1e-14)


def test_few_samples_and_gradients_go_at_once(sizes):
    equation = build_equation(BURGERS)
    start, stepper = begins(equation, 4), Stepper(equation)
    values = equation.parameter_tensors(F64)
    rollout(stepper.bind(start[:3], values), start[:3], 2)
    assert set(sizes) == {3}  # half as many again as there is room for
    sizes.clear()
    values["viscosity"].requires_grad_(True)
    slope = torch.autograd.grad(rollout(stepper.bind(start, values), start, 2).square().sum(), values["viscosity"])
    assert set(sizes) == {4}
    assert float(slope[0].abs()) > 0
    sizes.clear()
    with torch.no_grad():
        rollout(stepper.bind(start, values), start, 2)
    assert sizes == [2, 4] + [2] * 4


@pytest.mark.parametrize("execution", ["plain", "jit"])
def test_steps_of_phiflow_go_at_once(sizes, execution):
    equation = build_equation(BURGERS)
    start = begins(equation, 5)
    rollout(Stepper(equation, execution).bind(start, equation.parameter_tensors(F64)), start, 2)
    assert set(sizes) == {5}


@pytest.mark.parametrize("mixes", [True, False])
def test_a_step_that_mixes_samples_goes_at_once(sizes, mixes, caplog):
    caplog.set_level("INFO", "hyco")

    def run(state, mean):
        return state - mean * (state.mean(dim=0) if mixes else 1.0)

    samples = Samples((None,))
    step = bound_step.BoundStep(run, (torch.tensor(0.1, dtype=F64),), 1, samples=samples)
    start = torch.rand(5, 2, 12, 10, dtype=F64, generator=torch.Generator().manual_seed(0))
    expected = start.clone()
    for _ in range(3):
        expected = run(expected, 0.1)
    sizes.clear()
    found = rollout(step, start, 3, [3])[:, 0]
    assert torch.allclose(found, expected, rtol=0, atol=1e-15)
    assert samples.apart is not mixes
    assert ("rolled out together" in caplog.text) == mixes
    assert sizes[2:] == ([5] * 3 if mixes else [2] * 6 + [1] * 3)  # after the one that was tried
    sizes.clear()
    rollout(step, start, 1)
    assert sizes == ([5] if mixes else [2, 2, 1])


def test_each_thread_has_a_cache_of_its_own(sizes, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    equation = build_equation(BURGERS)
    start, stepper = begins(equation, 8), Stepper(equation)
    rollout(stepper.bind(start, equation.parameter_tensors(F64)), start, 1)
    assert set(sizes[2:]) == {4}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["gray_scott", "navier_stokes", "smoke", "darcy", "inviscid_burgers"])
def test_steps_of_other_equations_in_parts(monkeypatch, experiment):
    section = yaml.safe_load((CONF / experiment / "parameters.yml").read_text())["equation"]
    equation = build_equation(section)
    size = max(equation.layout.grid.size)
    start = equation.initial_states(5, 0.3 * size, 0.5, torch.Generator().manual_seed(0))
    values, stepper = equation.parameter_tensors(F64), Stepper(equation)
    expected = whole(monkeypatch, stepper, start, values, 2)
    monkeypatch.setattr(bound_step, "_BYTES_AT_ONCE", 1)  # one by one
    found = rollout(stepper.bind(start, values), start, 2)
    assert torch.allclose(found, expected, rtol=0, atol=1e-9 * float(expected.abs().max()))

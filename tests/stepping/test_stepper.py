"""The traced and compiled step equals PhiFlow's, and gradients pass through it."""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from phi import math as phimath
from torch._inductor.decomposition import select_decomp_table
from torch.fx.experimental.proxy_tensor import make_fx

from hyco.equations.equation import Equation
from hyco.equations.initial_states import random_smooth_states
from hyco.equations.registry import build_equation
from hyco.fields import FieldSpec, Layout
from hyco.stepping import compiled as compiled_module
from hyco.stepping import stepper as stepper_module
from hyco.stepping.field_rollout import physical_rollout
from hyco.stepping.ghost_cells import GhostCells
from hyco.stepping.physical_model import PhysicalModel
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper, worth_compiling


@pytest.fixture(autouse=True)
def _nothing_is_traced_yet(monkeypatch):
    monkeypatch.setattr(stepper_module, "_SHARED", OrderedDict())


def burgers(dimensions, dt=0.05):
    domain = {"x": {"size": 4.0, "resolution": 24}, "y": {"size": 3.0, "resolution": 20, "lower": -1.0}}
    return build_equation(
        {
            "name": "burgers",
            "domain": dict(list(domain.items())[:dimensions]),
            "dt": dt,
            "max_speed": 4.0,
            "parameters": {"viscosity": 0.1},
        }
    )


def by_torch(monkeypatch):
    """Steps are compiled by torch, as those of large states."""
    monkeypatch.setattr(stepper_module, "_has_compiler", lambda: True)
    monkeypatch.setattr(stepper_module, "runs_natively", lambda *_: False)
    monkeypatch.setattr(compiled_module, "runs_natively", lambda *_: False)


def states(equation, count):
    grid = equation.layout.grid
    return random_smooth_states(grid, len(equation.layout.channels), count, 0.8, 1.0, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dimensions", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("batch", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_the_traced_step_equals_the_plain_step_to_rounding(dimensions, batch):
    equation = burgers(dimensions)
    start = states(equation, batch)
    viscosity = {"viscosity": torch.linspace(0.05, 0.3, batch, dtype=torch.float64)}
    plain, traced = Stepper(equation, "plain"), Stepper(equation, "traced")
    expected, found = plain(start, viscosity), traced(start, viscosity)
    assert traced.execution == "traced"
    assert found.dtype == torch.float64
    assert torch.allclose(found, expected, rtol=0, atol=1e-14)
    assert not torch.allclose(found, start, atol=1e-3)


@pytest.mark.slow
def test_the_compiled_step_equals_the_plain_step_to_rounding():
    """Where there is no C++ compiler, `compiled` is the traced step; that must be equal, too."""
    equation = burgers(1)
    start = states(equation, 2)
    viscosity = {"viscosity": torch.tensor([0.1, 0.2], dtype=torch.float64)}
    stepper = Stepper(equation, "compiled")
    assert stepper.execution == ("traced" if shutil.which(os.environ.get("CXX", "g++")) is None else "compiled")
    found = stepper(start, viscosity)
    assert torch.allclose(found, Stepper(equation, "plain")(start, viscosity), rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cells", [8, pytest.param(12, marks=pytest.mark.slow)]
)  # by remainders of indices, and by slices of a wider field
def test_the_gradient_of_the_compiled_step_is_that_of_the_traced_one(cells, monkeypatch):
    by_torch(monkeypatch)
    domain = {"x": {"size": 0.2 * cells, "resolution": cells}, "y": {"size": 0.15 * cells, "resolution": cells}}
    velocity = {"velocity_x": 0.8, "velocity_y": -0.4}
    section = {"name": "advection", "domain": domain, "dt": 0.03, "max_speed": 1.0, "parameters": velocity}
    equation = build_equation(section)
    start = equation.initial_states(2, 0.4, 0.5, torch.Generator().manual_seed(1)).requires_grad_(True)
    values = equation.parameter_tensors(torch.float64)
    speed = values["velocity_x"].requires_grad_(True)
    found = []
    for execution in ("traced", "compiled"):
        end = Stepper(equation, execution)(start, values)
        found.append([end, *torch.autograd.grad((end**2)[..., 1:, 2:].sum(), [start, speed])])
    for traced, compiled in zip(*found, strict=True):
        assert torch.allclose(compiled, traced, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("cells", [8, 9])  # half of the coefficients have one that stands alone at their end, or none
def test_a_compiled_step_of_fourier_coefficients_is_the_traced_one_with_its_gradient(cells, monkeypatch):
    by_torch(monkeypatch)
    domain = {"x": {"size": 6.0, "resolution": cells + 1}, "y": {"size": 5.0, "resolution": cells}}
    parameters = {"viscosity": 0.02, "forcing": "cos(3 * x) + sin(y)"}
    section = {"name": "navier_stokes", "domain": domain, "dt": 0.1, "max_speed": 3.0, "parameters": parameters}
    equation = build_equation(section)
    start = equation.initial_states(2, 1.5, 0.5, torch.Generator().manual_seed(1)).requires_grad_(True)
    values = equation.parameter_tensors(torch.float64)
    leaves = [start, *(values[name].requires_grad_(True) for name in ("viscosity", "forcing"))]
    found = []
    for execution in ("traced", "compiled"):
        stepper = Stepper(equation, execution)
        end = stepper(start, values)
        assert stepper.execution == execution
        found.append([end, *torch.autograd.grad((end**2)[..., 1:, 2:].sum(), leaves)])
    for traced, compiled in zip(*found, strict=True):
        assert torch.allclose(compiled, traced, rtol=1e-11, atol=1e-12)


def test_one_compilation_serves_all_steps_of_a_rollout_with_gradient(monkeypatch):
    """Also the first, whose state has none itself: what is compiled depends on that. One step alone needs none."""
    needed = []

    def recorded(graph, **options):
        def run(state, *inputs):
            needed.append(state.requires_grad)
            return graph(state, *inputs)

        return run

    by_torch(monkeypatch)
    monkeypatch.setattr(torch, "compile", recorded)
    equation = burgers(1)
    start, slopes = states(equation, 2), []
    for execution in ("traced", "compiled"):
        model = PhysicalModel(equation, equation.layout, execution)
        viscosity = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        end = model.rollout(start, {"viscosity": viscosity}, 3)
        slopes.append(torch.autograd.grad(end.square().sum(), viscosity)[0])
    assert needed == [True] * 3
    assert not start.requires_grad
    assert torch.allclose(*slopes, rtol=1e-12)
    model.rollout(start, {"viscosity": viscosity}, 1)
    model.rollout(start, {"viscosity": viscosity.detach()}, 2)
    with torch.no_grad():
        model.rollout(start, {"viscosity": viscosity}, 2)
    assert needed[3:] == [False] * 5


def test_a_step_is_traced_once_for_equations_of_one_configuration():
    viscosity = {"viscosity": torch.tensor(0.1, dtype=torch.float64)}
    programs = []
    for dt in (0.05, 0.05, 0.02):
        equation = burgers(1, dt)
        stepper = Stepper(equation, "traced")
        stepper.bind(states(equation, 2), viscosity)
        programs.append(stepper._programs)
    assert programs[1] is programs[0]
    assert programs[2] is not programs[0]

    class Own(type(equation)):  # a class of a user's may be made from more than its configuration
        pass

    Own.__module__ = "elsewhere"
    first, second = (Stepper(Own(equation.config), "traced")._programs for _ in range(2))
    assert first is not second


@pytest.mark.slow
def test_compiled_code_is_kept_in_the_users_cache(tmp_path):
    """The compiler must not have chosen a place of its own when it is told."""
    code = (
        "import torch; from torch import fx; from hyco.stepping.compiled import Compiled; "
        "from hyco.stepping.graph import Program; graph = fx.symbolic_trace(lambda u: -u).graph; "
        "Compiled(Program(tuple, torch.neg, graph, 7)); "
        "from torch._inductor.runtime.cache_dir_utils import cache_dir; print(cache_dir())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TORCHINDUCTOR_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(tmp_path / "hyco" / "inductor")


def test_other_code_than_before_is_told_once(monkeypatch, caplog):
    monkeypatch.setattr(stepper_module, "_has_compiler", lambda: False)
    equation = burgers(1)
    model = PhysicalModel(equation, equation.layout)
    model.take("compiled", ["compiled by hyco"])
    start, viscosity = states(equation, 1), equation.parameter_tensors(torch.float64)
    for _ in range(2):
        model.stepper(start, viscosity)
    assert caplog.text.count("steps that were compiled by hyco and goes on with steps that are traced") == 1
    assert model.stepper.code == {"compiled by hyco", "traced"}
    caplog.clear()
    model.take("traced", model.stepper.code)
    model.stepper(start, viscosity)
    assert caplog.text == ""


@pytest.mark.parametrize("execution", ["plain", "traced", "jit"])
def test_threads_do_not_disturb_each_others_steps(execution):
    """PhiML's precision and what it traces are those of the whole process."""
    kinds = [torch.float64, torch.float32]
    steppers = [Stepper(burgers(1, dt=0.01 * (i + 1)), execution) for i in range(4)]
    start = states(burgers(1), 2)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda i: steppers[i](start.to(kinds[i % 2]), {}), range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert [stepper.execution for stepper in steppers] == [execution] * 4
    assert [state.dtype for state in found] == kinds * 2


def test_shifts_become_slices_unless_the_compiler_can_vectorise_them():
    """Of the graph that the compiler gets: both ends of a field are put in front and behind, where it helps."""

    def graph_of(cells):
        def run(u):
            return u.roll(2, -1) - 3 * u.roll(-1, -1) + u.roll(1, -2)

        u = torch.rand(3, 5, cells, dtype=torch.float64)
        graph = make_fx(run, decomposition_table=select_decomp_table(), tracing_mode="fake")(u)
        GhostCells()(graph.graph)
        graph.recompile()
        assert torch.equal(graph(u), run(u))
        return [node.target for node in graph.graph.nodes]

    aten = torch.ops.aten
    assert graph_of(12).count(aten.cat.default) == 1
    assert graph_of(12).count(aten.index.Tensor) == 1  # along the other dimension
    assert graph_of(16).count(aten.cat.default) == 0


def test_without_a_compiler_the_step_runs_traced_and_says_so(monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with caplog.at_level(logging.WARNING):
        stepper = Stepper(burgers(1), "compiled")
    assert stepper.execution == "traced"
    assert "compiler" in caplog.text


@pytest.mark.parametrize("dimensions", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_sample_of_a_batch_has_its_own_parameter(dimensions):
    equation = burgers(dimensions)
    start = states(equation, 1)
    stepper = Stepper(equation)
    values = torch.tensor([0.05, 0.4], dtype=torch.float64)
    together = stepper(start.expand(2, *start.shape[1:]), {"viscosity": values})
    for i, value in enumerate(values):
        assert torch.allclose(together[i], stepper(start, {"viscosity": value})[0], rtol=0, atol=1e-14)


@pytest.mark.parametrize("dimensions", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("execution", ["plain", pytest.param("traced", marks=pytest.mark.slow)])
def test_the_gradient_passes_the_taylor_test(dimensions, execution):
    equation = burgers(dimensions)
    start = states(equation, 2)
    stepper = Stepper(equation, execution)

    def loss(viscosity):
        return rollout(lambda state: stepper(state, {"viscosity": viscosity}), start, 4).square().mean()

    point = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    value = loss(point)
    (slope,) = torch.autograd.grad(value, point)
    remainders = [abs(float(loss(point.detach() + h) - value - h * slope)) for h in (1e-2, 5e-3, 2.5e-3)]
    orders = torch.tensor(remainders).log2().diff().neg()
    assert ((orders > 1.95) & (orders < 2.05)).all()


@pytest.mark.slow
def test_the_physical_rollout_is_a_dictionary_with_velocity_and_a_time_dimension():
    from hyco.fields import to_fields, to_tensor

    equation = burgers(2)
    start = states(equation, 3)
    with phimath.precision(64):
        fields = physical_rollout(equation, to_fields(start, equation.layout), equation.parameters, 4)
    assert set(fields) == {"velocity"}
    assert fields["velocity"].shape.get_size("time") == 4
    stepper = Stepper(equation)
    values = {"viscosity": torch.tensor(0.1, dtype=torch.float64)}
    expected = rollout(lambda state: stepper(state, values), start, 4)
    found = to_tensor(fields, equation.layout, batch_dims=("batch", "time"))
    assert torch.allclose(found, expected, rtol=0, atol=1e-13)


def test_a_rollout_of_fields_has_their_precision():
    """Every step is that of tensors, to rounding of float64, whatever the precision of PhiFlow is."""
    from hyco.fields import to_fields, to_tensor

    equation = burgers(1)
    start = states(equation, 2)
    values = {"viscosity": torch.tensor(0.1, dtype=torch.float64)}
    stepper = Stepper(equation)
    expected = rollout(lambda state: stepper(state, values), start, 3)
    for dtype, error in ((torch.float64, 1e-13), (torch.float32, 1e-4)):
        fields = to_fields(start.to(dtype), equation.layout)
        found = to_tensor(
            physical_rollout(equation, fields, equation.parameters, 3), equation.layout, ("batch", "time")
        )
        assert found.dtype == dtype
        assert torch.allclose(found.double(), expected, rtol=0, atol=error)


class LooksAtValues(Equation):
    """A step that cannot be traced: a value decides what Python does."""

    def __init__(self):
        self.layout = Layout(grid=burgers(1).layout.grid, fields=(FieldSpec("velocity", components=("x",)),))
        self.dt, self.parameters = 0.1, {"viscosity": 0.1}

    def step(self, fields, parameters):
        velocity = fields["velocity"]
        factor = 0.5 if float(phimath.max(phimath.abs(velocity.values), velocity.shape)) > 0 else 1.0
        return {"velocity": velocity * factor}


def test_a_step_that_cannot_be_traced_falls_back_to_phiflow_and_says_so(caplog):
    equation = LooksAtValues()
    stepper = Stepper(equation, "traced")
    start = states(burgers(1), 2)
    with caplog.at_level(logging.WARNING), contextlib.suppress(Exception):
        stepper(start, {"viscosity": torch.tensor(0.1, dtype=torch.float64)})
    assert stepper.execution == "jit"
    assert "cannot be traced" in caplog.text


@pytest.mark.slow
def test_auto_compiles_only_where_the_work_is_much_longer_than_a_compilation(monkeypatch, caplog):
    assert not worth_compiling(operations=640, numbers=4 * 128, steps=500)
    assert worth_compiling(operations=31, numbers=2 * 64 * 64, steps=200_000)
    # More operations take longer to compile: the gain has to grow, too.
    assert not worth_compiling(operations=10, numbers=100, steps=0)
    # Code of hyco's own takes a tenth of that.
    assert not worth_compiling(operations=640, numbers=4 * 128, steps=500, native=True)
    assert worth_compiling(operations=31, numbers=2 * 64 * 64, steps=5_000, native=True) > worth_compiling(
        operations=31, numbers=2 * 64 * 64, steps=5_000
    )
    monkeypatch.setattr(stepper_module, "_has_compiler", lambda: True)
    equation = burgers(1)
    start, viscosity = states(equation, 2), {"viscosity": torch.tensor(0.1, dtype=torch.float64)}
    for work, execution in ((100, "traced"), (10**9, "compiled")):
        stepper = Stepper(equation, "auto", work)
        stepper.bind(start, viscosity)
        assert stepper.execution == execution
    monkeypatch.setattr(stepper_module, "_has_compiler", lambda: False)
    for work, warned in ((100, False), (10**9, True)):
        stepper = Stepper(equation, "auto", work)
        stepper.bind(start, viscosity)
        assert stepper.execution == "traced"
        assert ("No C++ compiler" in caplog.text) == warned


def test_auto_does_not_count_on_operations_for_which_nothing_is_compiled(monkeypatch):
    by_torch(monkeypatch)
    counted = []
    monkeypatch.setattr(stepper_module, "worth_compiling", lambda operations, *_: counted.append(operations))
    equation, viscosity = burgers(1), {"viscosity": torch.tensor(0.1, dtype=torch.float64)}
    stepper = Stepper(equation, "auto", 100)
    stepper.bind(states(equation, 2), viscosity)
    (program,) = stepper._programs.values()
    assert counted == [program.real_operations]
    assert program.real_operations < program.operations


def test_auto_never_gives_a_step_of_complex_numbers_to_torch(monkeypatch):
    by_torch(monkeypatch)
    viscosity = {"viscosity": torch.tensor(0.1, dtype=torch.float64)}
    for scheme, execution in (("upwind", "compiled"), ("spectral", "traced")):
        section = {"name": "burgers", "domain": {"x": {"size": 6.0, "resolution": 16}}, "dt": 0.1, "max_speed": 2.0}
        equation = build_equation({**section, "scheme": scheme, "parameters": {"viscosity": 0.1}})
        stepper = Stepper(equation, "auto", 10**9)
        stepper.bind(states(equation, 2), viscosity)
        assert stepper.execution == execution


def test_a_compilation_that_fails_leaves_the_traced_step_and_says_so(monkeypatch, caplog):
    def fails(graph, **options):
        def run(*arguments):
            raise RuntimeError("the linker is missing\nand more")

        return run

    by_torch(monkeypatch)
    monkeypatch.setattr(torch, "compile", fails)
    equation = burgers(1)
    start, viscosity = states(equation, 2), {"viscosity": torch.tensor(0.1, dtype=torch.float64)}
    with caplog.at_level(logging.WARNING):
        steppers = [Stepper(equation, "compiled") for _ in range(2)]
        found = [stepper(start, viscosity) for stepper in steppers]
        assert torch.equal(steppers[0](start, viscosity), found[0])
    assert [stepper.execution for stepper in steppers] == ["traced", "traced"]
    expected = Stepper(equation, "traced")(start, viscosity)
    assert torch.equal(found[0], expected)
    assert torch.equal(found[1], expected)
    assert caplog.text.count("the linker is missing") == 1

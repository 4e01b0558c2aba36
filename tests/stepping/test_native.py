"""Rollouts by hyco's own compiled code: the same as traced ones, for every equation, batch and way of reading."""

import logging
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.runtime import libraries
from hyco.stepping import stepper as stepper_module
from hyco.stepping.compiled import Compiled, compiled_program, native_program
from hyco.stepping.graph import trace
from hyco.stepping.native import function as function_module
from hyco.stepping.native.buffers import shared
from hyco.stepping.native.elementwise import ELEMENTWISE
from hyco.stepping.native.library import Native, Preparation
from hyco.stepping.native.recording import record_single
from hyco.stepping.native.rollouts import forward_source
from hyco.stepping.native.views import UnsupportedError
from hyco.stepping.rollout import rollout
from hyco.stepping.segments import rollout_in_segments
from hyco.stepping.stepper import Stepper

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
F64 = torch.float64
X, XY = (
    {"x": {"size": 5.0, "resolution": 12}},
    {"x": {"size": 5.0, "resolution": 9}, "y": {"size": 4.0, "resolution": 10}},
)
FORMULA = {
    "name": "formula",
    "domain": {"x": {"size": 5.0, "resolution": 15}},
    "dt": 0.02,
    "fields": {"u": {"boundary": "periodic"}},
}
SECTIONS = {
    "spectral": {"name": "burgers", "domain": X, "scheme": "spectral", "parameters": {"viscosity": 0.2}},
    "spectral, 2-D": {"name": "burgers", "domain": XY, "scheme": "spectral", "parameters": {"viscosity": 0.4}},
    "upwind": {"name": "burgers", "domain": X, "scheme": "upwind", "parameters": {"viscosity": 0.2}},
    "Navier-Stokes": {"name": "navier_stokes", "domain": XY, "max_speed": 3.0, "parameters": {"viscosity": 0.1}},
    "Fisher-KPP": FORMULA | {"rates": {"u": "D*laplace(u) + u*(1 - u)"}, "parameters": {"D": 0.1}},
    "in time": FORMULA | {"rates": {"u": "D*laplace(u) + sin(t)*u*u"}, "parameters": {"D": 0.1}},
    "heat": {"name": "heat", "domain": XY, "boundary": "neumann", "parameters": {"diffusivity": 0.2}},
}
SLOW = {"upwind", "Navier-Stokes", "spectral, 2-D", "in time", "heat"}


def equation_of(name):
    return build_equation(
        {"dt": 0.05, **SECTIONS[name]} | ({"max_speed": 3.0} if name in ("spectral", "upwind") else {})
    )


def starts_of(equation, count):
    return equation.initial_states(count, 1.5, 0.5, torch.Generator().manual_seed(2))


CASES = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SECTIONS]


@pytest.mark.parametrize("name", CASES)
def test_states_and_gradients_equal_those_of_traced_steps(name):
    """Of five samples: one more than there are lanes. Some states are read, and one of them is the last."""
    equation = equation_of(name)
    start, (key, *_) = starts_of(equation, 5), sorted(SECTIONS[name]["parameters"])
    found = []
    for execution in ("traced", "compiled"):
        values = equation.parameter_tensors(F64)
        leaves = values[key].requires_grad_(), start.clone().requires_grad_()
        bound = Stepper(equation, execution).bind(leaves[1], values, 0.3)
        assert isinstance(bound.run, Native) == (execution == "compiled")
        states = rollout(bound, leaves[1], 4, [1, 2, 4])
        weights = torch.arange(states.numel(), dtype=F64).reshape(states.shape).sin()
        found.append([states, *torch.autograd.grad((states**2 * weights).sum(), leaves)])
        if isinstance(bound.run, Native):
            assert bound.run.has_gradient
    for traced, compiled in zip(*found, strict=True):
        assert torch.allclose(compiled, traced, rtol=1e-11, atol=1e-12 * float(traced.abs().max()))


@pytest.mark.parametrize("name", ["spectral", pytest.param("upwind", marks=pytest.mark.slow)])
def test_what_steps_take_from_the_parameters_equals_what_is_traced(name):
    """Of shared parameters, and of those that each sample has its own of."""
    equation = equation_of(name)
    start, values = starts_of(equation, 3), equation.parameter_tensors(F64)
    own = values | {"viscosity": torch.tensor([0.1, 0.25, 0.0], dtype=F64)}
    for given in (values, own):
        steppers = Stepper(equation, "traced"), Stepper(equation, "compiled")
        traced, compiled = (stepper.bind(start, given).inputs for stepper in steppers)
        programs = [p for (kind, _), p in steppers[1]._programs.items() if kind == "compiled"]
        assert all(isinstance(program.prepare, Preparation) for program in programs)
        assert [v.shape for v in compiled] == [v.shape for v in traced]
        for one, other in zip(compiled, traced, strict=True):
            assert torch.allclose(one, other, rtol=1e-12, atol=1e-15)


def test_a_sample_does_not_depend_on_the_others_to_the_bit():
    equation = equation_of("spectral")
    start, values = starts_of(equation, 19), equation.parameter_tensors(F64)
    stepper = Stepper(equation, "compiled")
    together = rollout(stepper.bind(start, values), start, 6)
    for count in (1, 2, 3, 4, 5, 8, 13):
        part = start[19 - count :]
        assert torch.equal(rollout(stepper.bind(part, values), part, 6), together[19 - count :])


@pytest.mark.parametrize("dtype", [F64, torch.float32])
@pytest.mark.parametrize("name", ["spectral", pytest.param("upwind", marks=pytest.mark.slow)])
def test_few_samples_take_half_of_the_lanes_and_come_to_the_same_to_the_bit(name, dtype):
    equation, lanes = equation_of(name), 32 // dtype.itemsize
    values, stepper = equation.parameter_tensors(dtype), Stepper(equation, "traced")
    states = starts_of(equation, lanes + 1).to(dtype)
    stepper.bind(states, values)
    program = next(p for (kind, (of, *_)), p in stepper._programs.items() if kind == "traced" and of == dtype)
    half, whole = Native(program, 1), Native(program, lanes)
    for count in (1, lanes // 2, lanes + 1):
        found = []
        for native in (half, whole):
            start = states[:count].clone().requires_grad_()
            inputs = [v.detach().requires_grad_() for v in stepper.bind(start, values).inputs]
            kept, end = native.rollout(start, inputs, 3, (1, 2))
            loss = (kept**3).sum() + (end**2).sum()
            found.append([kept, end, *torch.autograd.grad(loss, [start, *inputs], allow_unused=True)])
        assert all(a is b is None or torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert set(half._forward._runs) == {lanes // 2}
    assert set(whole._forward._runs) == {lanes}


def test_code_for_more_samples_is_compiled_once_it_is_worth_it(monkeypatch, caplog):
    state = torch.rand(5, 1, 7, dtype=F64)
    program = trace(lambda u: torch.sin(u) - u.roll(1, 2), state, [], [])
    native, refused = Native(program), Native(program)
    monkeypatch.setattr(function_module, "_WORTH_COMPILING", 3 * 2 * native._forward._source.operations)
    expected = Native(program, 5)(state)
    for known in ({2}, {2}, {2, 4}):  # five samples are two vectors of four
        assert torch.equal(native(state), expected)
        assert set(native._forward._runs) == known

    def compiled(_):
        raise OSError("no room")

    monkeypatch.setattr(function_module, "compiled", compiled)
    caplog.set_level(logging.INFO)
    for _ in range(4):
        assert torch.equal(refused(state), expected)
    assert caplog.text.count("No code for 4 samples side by side (no room)") == 1


def test_a_rollout_that_is_continued_equals_a_whole_one_to_the_bit():
    equation = equation_of("spectral")
    start, values = starts_of(equation, 2), equation.parameter_tensors(F64)
    bound = Stepper(equation, "compiled").bind(start, values)
    whole, end = bound.states(start, 7, range(1, 8))
    begun, middle = bound.states(start, 3, [3])
    rest, last = bound.states(middle, 4, range(1, 5))
    assert torch.equal(torch.cat([begun, rest], dim=1), whole[:, 2:])
    assert torch.equal(last, end)
    step = start
    for number in range(7):
        step = bound(step, number)
    assert torch.equal(step, end)


@pytest.mark.slow
def test_each_sample_may_have_its_own_parameter_and_segments_have_the_same_gradient():
    equation = equation_of("spectral")
    start, slopes = starts_of(equation, 3), []
    for execution, lengths in (("traced", ()), ("compiled", ()), ("compiled", (2,)), ("compiled", (4, 2))):
        viscosity = torch.tensor([0.1, 0.2, 0.3], dtype=F64, requires_grad=True)
        bound = Stepper(equation, execution).bind(start, equation.parameter_tensors(F64) | {"viscosity": viscosity})
        states = rollout_in_segments(bound, start, 6, lengths, (2, 5)) if lengths else rollout(bound, start, 6, (2, 5))
        slopes.append(torch.autograd.grad((states**3).sum(), viscosity)[0])
    for other in slopes[1:]:
        assert torch.allclose(other, slopes[0], rtol=1e-11)


@pytest.mark.slow
def test_single_precision_has_its_own_code():
    equation = equation_of("spectral")
    start = starts_of(equation, 9).float()
    values = {name: value.float() for name, value in equation.parameter_tensors(F64).items()}
    traced, compiled = (
        rollout(Stepper(equation, execution).bind(start, values), start, 5) for execution in ("traced", "compiled")
    )
    assert compiled.dtype == torch.float32
    assert torch.allclose(compiled, traced, atol=1e-6)


SIZES = [2, 3, 4, 5, 6, 7, 8, 9, 15, 22, 26, 49, 60]


def test_transforms_of_many_sizes_equal_those_of_torch():
    """Of real and of complex numbers, along one dimension and along two, in every normalisation."""

    def run(state):
        parts, begin = [], 0
        for number, n in enumerate(SIZES):
            norm, own = ("forward", "ortho", "backward")[number % 3], state[:, 0, begin : begin + n]
            begin += n
            half = torch.fft.rfft(own, norm=norm)
            whole = torch.fft.fft(torch.complex(own, own.roll(1, -1)), norm=norm)
            turned = torch.fft.ifft(whole * (0.5 + 2j), norm=norm)
            parts += [torch.fft.irfft(half * (1.5 - 0.25j), n, norm=norm) + torch.view_as_real(turned)[..., 0]]
        plane = state[:, 0, :60].reshape(-1, 5, 12)
        coefficients = torch.fft.rfft2(plane) * (0.3 + 0.1j)
        return torch.cat([*parts, torch.fft.irfft2(coefficients, s=(5, 12)).reshape(-1, 60)], dim=1)[:, None]

    state = torch.randn(3, 1, sum(SIZES) + 60, dtype=F64, generator=torch.Generator().manual_seed(1))
    native = Native(trace(run, state, [], []))
    assert torch.allclose(native(state), run(state), rtol=0, atol=1e-12 * float(run(state).abs().max()))


def test_a_step_of_unknown_operations_goes_through_torch_and_says_so(caplog):
    state = torch.rand(2, 1, 4, dtype=F64)
    program = trace(lambda u: torch.cumsum(u, -1), state, [], [])
    with pytest.raises(UnsupportedError, match="cumsum"):
        Native(program)
    with caplog.at_level(logging.INFO):
        assert isinstance(compiled_program(program, state, [], []).step, Compiled)
    assert "cumsum" in caplog.text


def test_auto_asks_torch_only_where_that_is_worth_it(monkeypatch):
    """Where a step has operations that hyco's own code does not know, much more has to be saved."""
    equation = equation_of("spectral")
    start, values = starts_of(equation, 2), equation.parameter_tensors(F64)
    for known, execution in ((True, "compiled"), (False, "traced")):
        if not known:
            monkeypatch.setattr(stepper_module, "native_program", lambda *_: None)
        stepper = Stepper(equation, "auto", 100_000)
        stepper.bind(start, values)
        assert stepper.execution == execution


@pytest.mark.slow
def test_a_gradient_for_which_no_code_can_be_written_runs_traced(caplog):
    """Of a product over the cells, which has code only as long as nobody asks for its gradient."""
    state = torch.rand(2, 1, 4, dtype=F64, requires_grad=True)

    def run(u):
        return torch.log(u) * u.roll(1, -1)

    native = Native(trace(run, state, [], []))
    native._adjoints[()] = None
    kept, end = native.rollout(state, [], 1, [1])
    assert torch.equal(kept[:, 0], end)
    (found,) = torch.autograd.grad(end.sum(), state)
    assert torch.allclose(found, torch.autograd.grad(run(state).sum(), state)[0])


@pytest.mark.slow
def test_code_is_kept_on_disk_and_a_compiler_that_fails_is_told_of(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    state = torch.rand(1, 1, 5, dtype=F64)
    program = trace(lambda u: u * 1.25, state, [], [])
    Native(program)
    (kept,) = tmp_path.rglob("*.so")
    written = kept.stat().st_mtime_ns
    Native(program)
    assert kept.stat().st_mtime_ns == written
    monkeypatch.setenv("CXX", "false")
    with caplog.at_level(logging.INFO):
        assert isinstance(compiled_program(program, state, [], []).step, Compiled)
    assert "No code of hyco's own" in caplog.text


def with_complex(function):
    """A step by a function of complex numbers."""
    return lambda u: function(torch.complex(u, u.roll(1, -1)))


REFUSED = {
    "exp": with_complex(lambda z: z.exp().real),
    "sqrt": with_complex(lambda z: z.sqrt().imag),
    "abs": with_complex(torch.abs),
    "square": with_complex(lambda z: (z**2).real),
    "quotient": with_complex(lambda z: (1 / (z + 3)).real),
    "choice": lambda u: torch.where(u > 0, torch.complex(u, u), torch.complex(u, -u)).imag,
    "integers": lambda u: u.to(torch.int64).to(F64) * 2,
    "single precision": lambda u: (u / 3).float().double(),
    "rounding": lambda u: torch.div(u, 0.3, rounding_mode="floor"),
    "flat roll": lambda u: u.roll(1),
    "another kind of state": lambda u: torch.complex(u, u),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_code_has_no_operation_for_is_left_to_torch(name):
    """A function of a complex number is not one of its real part, and an error of the writer is no one of the run."""
    state = torch.rand(2, 1, 4, dtype=F64)
    program = trace(REFUSED[name], state, [], [])
    assert native_program(program, state, [], []) is None
    with pytest.raises(Exception):  # noqa: B017, PT011 by the writer, not only because it gives other values
        Native(program)


def test_code_that_gives_other_values_than_the_traced_step_is_left(monkeypatch, caplog):
    state = torch.rand(2, 1, 4, dtype=F64)
    program = trace(lambda u: torch.exp(-u), state, [], [])
    assert native_program(program, state, [], []) is not None
    monkeypatch.setitem(ELEMENTWISE, "exp", lambda a: a)
    with caplog.at_level(logging.INFO):
        assert native_program(program, state, [], []) is None
    assert "other values" in caplog.text


def test_special_values_and_slices_are_as_with_torch():
    functions = [
        torch.sign,
        torch.abs,
        lambda u: torch.maximum(u, u.roll(1, -1)),
        lambda u: torch.minimum(u * 2, u.roll(2, -1)),
        lambda u: u[..., -20:] * 2,
        lambda u: torch.where(torch.logical_or(u > 1, torch.logical_not(u > -1)), u * 2, u),
        lambda u: u.clamp(-0.5, 0.5),
    ]

    def run(u):
        return torch.cat(
            [function(own) for function, own in zip(functions, [u[:, i : i + 1] for i in range(7)], strict=True)], 1
        )

    row = torch.tensor([float("nan"), 1.5, -2.0, 0.0, float("inf"), 0.3], dtype=F64)
    state = row.expand(1, len(functions), 6).contiguous()
    native = Native(trace(run, state, [], []))
    assert torch.equal(native(state).nan_to_num(7.0), run(state).nan_to_num(7.0))


def test_a_state_without_effect_has_no_slope_and_does_not_spoil_that_of_the_parameter():
    def run(u, time, k):
        return k * torch.sin(time) * torch.ones(u.shape[0], 1, 6, dtype=F64)

    start, k = torch.rand(2, 1, 6, dtype=F64, requires_grad=True), torch.tensor(2.0, dtype=F64, requires_grad=True)
    times = torch.tensor([0.1, 0.2, 0.3], dtype=F64)
    program = trace(run, start.detach(), [k.detach()], [False], times[0])
    kept, _ = Native(program).rollout(start, program.prepare(2, k), 3, [1, 2, 3], times)
    of_start, of_k = torch.autograd.grad(kept.sum(), [start, k], materialize_grads=True)
    assert torch.equal(of_start, torch.zeros_like(start))
    assert torch.allclose(of_k, 12 * times.sin().sum())


def test_other_types_run_traced_and_other_shapes_are_refused():
    """The code reads memory as it was when the step was recorded."""
    equation = equation_of("spectral")
    start, values = starts_of(equation, 4), equation.parameter_tensors(F64)
    bound = Stepper(equation, "compiled").bind(start, values)
    traced = Stepper(equation, "traced").bind(start, values)
    assert torch.equal(rollout(bound, start.float(), 2), rollout(traced, start.float(), 2))
    with pytest.raises(ValueError, match="takes a tensor"):
        rollout(bound, start[..., :-1], 2)
    each = Stepper(equation, "compiled")
    each.bind(start, {"viscosity": torch.rand(4, dtype=F64)})
    with pytest.raises(ValueError, match="takes a tensor"):
        each.bind(start, {"viscosity": torch.rand(3, dtype=F64)})
    turned = torch._neg_view(start.clone())
    assert torch.equal(rollout(bound, turned, 2), rollout(bound, -start, 2))


def test_parts_of_a_rollout_give_the_same_numbers_to_the_bit(monkeypatch):
    """States, slopes of the start and of what is shared and of one's own, however few operations a call may have."""
    equation = equation_of("spectral")
    found = []
    for operations in (10**12, 5000, 1):
        monkeypatch.setattr(function_module, "_OPERATIONS", operations)
        for viscosity in (torch.tensor(0.2, dtype=F64), torch.linspace(0.1, 0.3, 11, dtype=F64)):
            start = starts_of(equation, 11).requires_grad_()
            leaf = viscosity.clone().requires_grad_()
            bound = Stepper(equation, "compiled").bind(start, equation.parameter_tensors(F64) | {"viscosity": leaf})
            assert isinstance(bound.run, Native)
            calls = [len(ranges) for _, ranges in bound.run._forward.parts(11, 7)]
            assert (sum(calls) > 1) == (operations < 10**12)
            states = rollout(bound, start, 7, [2, 3, 7])
            found.append([states, *torch.autograd.grad((states**3).sum(), [start, leaf])])
    for others in (found[2:4], found[4:]):
        for expected, got in zip(found[:2], others, strict=True):
            assert all(map(torch.equal, expected, got))


def test_a_damaged_library_is_compiled_again_and_one_that_others_can_write_is_not_loaded(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    state = torch.rand(1, 1, 5, dtype=F64)
    program = trace(lambda u: u * 1.75, state, [], [])
    folder = tmp_path / "hyco" / "native"
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    made = []
    compiled = libraries._compile
    monkeypatch.setattr(libraries, "_compile", lambda *a: (made.append(a[1]), compiled(*a))[1])
    library = libraries._library(forward_source(record_single(program)).text(2))  # for one sample
    library.write_bytes(b"no library")
    library.chmod(0o700)
    assert torch.equal(Native(program)(state), state * 1.75)
    assert made == [library]
    whole = library.read_bytes()
    # Not in place: a process that has loaded it reads it from there. To load the first ends the process.
    for damaged in (whole[: len(whole) // 2], whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:]):
        library.unlink()
        library.write_bytes(damaged)
        library.chmod(0o700)
        assert torch.equal(Native(program)(state), state * 1.75)
        assert library.read_bytes() != damaged
    assert made == 3 * [library]
    assert library.stat().st_mode & 0o777 == 0o700
    for path in (library, folder):
        path.chmod(0o777)
        with caplog.at_level(logging.INFO):
            assert native_program(program, state, [], []) is None
        assert "others may write" in caplog.text
        caplog.clear()
        path.chmod(0o700)
    assert made == 3 * [library]


def test_a_library_that_cannot_be_kept_is_used_all_the_same(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    state = torch.rand(1, 1, 5, dtype=F64)
    program = trace(lambda u: u * 2.25, state, [], [])
    library = libraries._library(forward_source(record_single(program)).text(2))  # for one sample
    library.parent.mkdir(mode=0o700, parents=True)
    library.write_bytes(b"without a checksum")
    library.chmod(0o700)
    temporary = tempfile.TemporaryDirectory

    def read_only(**options):
        if options:
            raise PermissionError(13, "Permission denied")
        return temporary()

    monkeypatch.setattr(libraries.tempfile, "TemporaryDirectory", read_only)
    with caplog.at_level(logging.INFO):
        assert torch.equal(Native(program)(state), state * 2.25)
    assert f"What is compiled is not kept: {library.parent} cannot be written" in caplog.text
    assert library.read_bytes() == b"without a checksum"


def test_without_a_home_the_step_runs_without_code_of_its_own(monkeypatch, caplog):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    state = torch.rand(1, 1, 5, dtype=F64)
    with caplog.at_level(logging.INFO):
        assert isinstance(compiled_program(trace(lambda u: u * 1.5, state, [], []), state, [], []).step, Compiled)
    assert "home directory" in caplog.text


def test_a_gradient_that_is_not_that_of_the_traced_step_is_left(monkeypatch, caplog):
    equation = equation_of("heat")
    start, parameters = starts_of(equation, 2), equation.parameter_tensors(torch.float64)
    right = Native.slopes

    def wrong(self, *arguments):
        of_start, of_inputs = right(self, *arguments)
        return 1.001 * of_start, of_inputs

    monkeypatch.setattr(Native, "slopes", wrong)
    found = []
    for execution in ("compiled", "traced"):
        state = start.clone().requires_grad_()
        step = Stepper(equation, execution).bind(state, parameters)
        step(step(state)).square().sum().backward()
        found.append(state.grad)
    assert torch.allclose(*found, rtol=1e-12)
    assert "gives other values: it runs traced" in caplog.text


def test_slopes_that_nobody_asks_for_change_no_others():
    """By the states alone, by one of two parameters, and by all."""
    equation = equation_of("spectral")
    start, parameters = starts_of(equation, 2), equation.parameter_tensors(torch.float64)
    names = ["viscosity", "convection"]
    stepper, found = Stepper(equation, "compiled"), []
    for asked in ([], names[:1], names):
        leaf, values = start.clone().requires_grad_(), dict(parameters)
        values |= {name: parameters[name].clone().requires_grad_() for name in asked}
        end = rollout(stepper.bind(leaf, values), leaf, 3, [3])
        found.append(torch.autograd.grad(end.square().sum(), [leaf, *(values[name] for name in asked)]))
    for fewer, more in pairwise(found):
        assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(fewer, more, strict=False))


def test_a_gradient_through_linear_steps_keeps_no_states(monkeypatch):
    """By the start; by a coefficient all are kept. It is that of the traced steps, in parts of a rollout, too."""
    section = {"name": "heat", "domain": X, "dt": 0.05, "parameters": {"diffusivity": 0.2}}
    equation, kept, found = build_equation(section), [], []
    start, values = starts_of(equation, 2), equation.parameter_tensors(F64)
    learnt = {"diffusivity": values["diffusivity"].clone().requires_grad_()}
    for execution, parameters, operations in (
        ("traced", values, 10**12),
        ("compiled", values, 10**12),
        ("compiled", values, 1),
        ("compiled", learnt, 10**12),
    ):
        monkeypatch.setattr(function_module, "_OPERATIONS", operations)
        leaf, sizes = start.clone().requires_grad_(), []
        bound = Stepper(equation, execution).bind(leaf, parameters)
        with torch.autograd.graph.saved_tensors_hooks(lambda t, own=sizes: own.append(t.numel()) or t, lambda t: t):
            states = rollout(bound, leaf, 7, [2, 6])
        kept.append(max(sizes, default=0))
        found.append(torch.autograd.grad((states**3).sum(), leaf)[0])
    assert all(torch.allclose(slope, found[0], rtol=1e-12) for slope in found)
    assert torch.equal(found[1], found[2])
    assert max(kept[1:3]) <= start.numel()
    assert kept[3] == 7 * start.numel()


def test_buffers_take_each_other_s_places_once_nothing_reads_them():
    lines = ["f(x, w0);", "for (i) {", "    w1[i] = w0[i];", "}", "g(w1, w2);", "h(w1, w2, w3);", "k(w10);"]
    found, sizes = shared(lines, [4, 4, 9, 4, 0, 0, 0, 0, 0, 0, 9])
    expected = ["f(x, w0);", "for (i) {", "    w1[i] = w0[i];", "}", "g(w1, w2);", "h(w1, w2, w0);", "k(w2);"]
    assert (found, sizes) == (expected, [4, 4, 9])

"""One recording of a step serves every batch size, and computes nothing twice that need not be."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import torch
import yaml
from phi import math as phimath
from torch.fx.experimental.proxy_tensor import make_fx

from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.fields import FieldSpec, Layout, to_fields, to_tensor
from hyco.grid import Grid
from hyco.stepping.graph import trace
from hyco.stepping.recorder import TracingError
from hyco.stepping.rewrites import call_torch, simplify
from hyco.stepping.rewrites.nodes import is_complex
from hyco.stepping.rewrites.transforms import real_transform
from hyco.stepping.stepper import Stepper

CONF = Path(__file__).parents[2] / "conf"
EXPERIMENTS = ["advection", "burgers_1d", "darcy", "gray_scott", "heat", "inviscid_burgers", "navier_stokes", "smoke"]
QUICK = ("darcy", "heat", "inviscid_burgers")


def equation_of(experiment):
    return build_equation(yaml.safe_load((CONF / experiment / "parameters.yml").read_text())["equation"])


def starts(equation, count):
    size = max(equation.layout.grid.size)
    return equation.initial_states(count, 0.3 * size, 1.0, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "experiment", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in EXPERIMENTS]
)
@pytest.mark.parametrize("own", [pytest.param(False, marks=pytest.mark.slow), True], ids=["shared", "own"])
def test_one_graph_gives_the_plain_step_for_every_batch_size(experiment, own):
    """Shared parameters, or different ones for each sample."""
    equation = equation_of(experiment)
    plain, traced = Stepper(equation, "plain"), Stepper(equation, "traced")
    states = starts(equation, 5)
    for count in (3, 1, 5):
        values = equation.parameter_tensors(torch.float64)
        if own:
            factors = torch.linspace(1.0, 0.9, count, dtype=torch.float64)
            values = {
                n: factors.reshape(-1, *[1] * (v.ndim - 1)) * (v if v.ndim else v[None]) for n, v in values.items()
            }
        found, expected = traced(states[:count], values), plain(states[:count], values)
        assert torch.allclose(found, expected, rtol=0, atol=1e-13 * float(expected.abs().max()))
    assert traced.execution == "traced"
    assert len(traced._programs) == (2 if own else 1)


@pytest.mark.parametrize(
    "experiment",
    [pytest.param("gray_scott", marks=pytest.mark.slow), "heat", pytest.param("navier_stokes", marks=pytest.mark.slow)],
)
def test_gradients_are_those_of_the_plain_step(experiment):
    equation = equation_of(experiment)
    states = starts(equation, 2)
    gradients = []
    for execution in ("plain", "traced"):
        values = equation.parameter_tensors(torch.float64)
        leaves = [states.clone().requires_grad_(True), *(v.requires_grad_(True) for v in values.values())]
        end = Stepper(equation, execution)(leaves[0], values)
        gradients.append(
            torch.autograd.grad((end * torch.linspace(-1, 1, end.numel()).reshape(end.shape)).sum(), leaves)
        )
    for expected, found in zip(*gradients, strict=True):
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12 * float(expected.abs().max()))


class Decay(Equation):
    """A step with a constant, a part of the parameter alone, and the same product twice."""

    def __init__(self, inside=False):
        grid = Grid(axes=("x",), lower=(0.0,), size=(1.0,), resolution=(8,))
        self.layout = Layout(grid=grid, fields=(FieldSpec("u"),))
        self.dt, self.parameters, self.inside = 0.1, {"rate": 0.5}, inside

    def step(self, fields, parameters):
        u = fields["u"]
        factor = phimath.exp(-self.dt * parameters["rate"])
        weight = phimath.exp(phimath.wrap(0.0)) + 1.0
        values = factor * u.values * weight + factor * u.values * weight
        if self.inside:
            values.native(values.shape).mul_(2.0)
        return {"u": u.with_values(values)}


def recorded(equation, state, rate):
    layout = equation.layout

    def run(state, rate):
        with phimath.precision(64):
            return to_tensor(equation.step(to_fields(state, layout), {"rate": phimath.wrap(rate)}), layout)

    return trace(run, state, [rate], [False])


def test_what_does_not_depend_on_the_state_leaves_the_step():
    state, rate = torch.rand(3, 1, 8, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    program = recorded(Decay(), state, rate)
    operations = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert not [name for name in operations if "exp" in name]
    # Twice the same product: it is computed once.
    assert sum("mul" in name for name in operations) == 2
    found = program.step(state, *program.prepare(3, rate))
    assert torch.allclose(found, 4 * torch.exp(-0.1 * rate) * state, rtol=1e-15, atol=0)


def test_a_graph_that_cannot_be_made_cheaper_runs_as_it_was_recorded(monkeypatch, caplog):
    def fails(graph):
        graph.erase_node(list(graph.nodes)[-1])
        raise KeyError("val")

    monkeypatch.setattr("hyco.stepping.graph.simplify", fails)
    state, rate = torch.rand(3, 1, 8, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    program = recorded(Decay(), state, rate)
    assert "not made cheaper (KeyError: 'val')" in caplog.text
    found = program.step(state, *program.prepare(3, rate))
    assert torch.allclose(found, 4 * torch.exp(-0.1 * rate) * state, rtol=1e-15, atol=0)


def test_a_step_that_changes_a_tensor_in_place_is_refused():
    state, rate = torch.rand(3, 1, 8, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    with pytest.raises(TracingError, match="in place"):
        recorded(Decay(inside=True), state, rate)


def program_of(equation, count=2):
    stepper = Stepper(equation, "traced")
    stepper(starts(equation, count), equation.parameter_tensors(torch.float64))
    (program,) = stepper._programs.values()
    return program


def functions(equation):
    """The names of what a traced step calls."""
    return [node.target.__name__ for node in program_of(equation).graph.nodes if node.op == "call_function"]


def test_two_threads_may_record_at_the_same_time():
    first_began, second_began, first_is_done = Event(), Event(), Event()

    def first(state):
        first_began.set()
        second_began.wait(0.5)
        return 2 * state

    def second(state):
        second_began.set()
        first_is_done.wait(0.5)
        return 3 * state

    state = torch.ones(1, 1, 4)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(trace, first, state, [], [])
        first_began.wait(5)
        other = pool.submit(trace, second, state, [], [])
        one.add_done_callback(lambda _: first_is_done.set())
        programs = one.result(), other.result()
    assert [float(program.step(state, *program.prepare(1)).max()) for program in programs] == [2.0, 3.0]


def test_periodic_neighbours_are_rolls():
    """Four neighbours of a cell; nothing is padded, copied or transposed for them."""
    called = functions(equation_of("scarce_gray_scott"))
    assert called.count("roll") == 4
    assert not {"cat", "narrow", "permute"} & set(called)


def test_walls_are_not_rolled():
    config = yaml.safe_load((CONF / "scarce_gray_scott" / "parameters.yml").read_text())["equation"]
    called = functions(build_equation(config | {"boundary": "neumann"}))
    assert called.count("cat") == 2
    assert "roll" not in called


def simplified(run, *inputs):
    graph = make_fx(run, tracing_mode="fake")(*inputs)
    simplify(graph.graph)
    call_torch(graph.graph)
    graph.recompile()
    return graph, [node.target.__name__ for node in graph.graph.nodes if node.op == "call_function"]


x, y = torch.rand(2, 3, 2, 5, 7, dtype=torch.float64)
c = torch.rand(2, dtype=torch.float64)
UNCHANGED = ["slice.Tensor", "narrow", "cat", "narrow"]


@pytest.mark.parametrize(
    ("run", "operations"),
    [
        (lambda x, y, c: x + 0.0 + 2 * y, ["add"]),
        (lambda x, y, c: x - x * x, ["addcmul"]),
        (lambda x, y, c: x * x - x, ["mul", "sub"]),
        (lambda x, y, c: x + y.int() * y.int(), ["_to_copy.default", "mul", "add"]),
        (lambda x, y, c: torch.cat([x[:, :, 3:5], x, x[:, :, :2]], 2)[:, :, 1:6], ["roll"]),
        (lambda x, y, c: torch.cat([x[:, :, 3:5], x, x[:, :, :2]], 2)[:, :, 2:7] * y, ["mul"]),
        (lambda x, y, c: torch.cat([x, x[:, :, :1]], 2)[:, :, 1:6], ["roll"]),
        (lambda x, y, c: torch.cat([x[:, :, 3:5], x], 2)[:, :, 1:6], ["roll"]),
        (lambda x, y, c: torch.cat([x, x[:, :, 1:2]], 2)[:, :, 1:6], ["narrow", "cat", "narrow"]),
        (lambda x, y, c: torch.cat([x, x[:, :, :2], x[:, :, :1]], 2)[:, :, 1:6], None),
        (lambda x, y, c: torch.cat([y[:, :, 4:], x, x[:, :, 0:1]], 2)[:, :, :5], UNCHANGED),
        (lambda x, y, c: torch.cat([x[:, :, 4:], x, x[:, :, 1:2]], 2)[:, :, :5], UNCHANGED),
        (lambda x, y, c: (torch.stack([x[:, 0], x[:, 1]], -1) * c)[..., 1], ["reshape", "permute", "mul", "select"]),
        (lambda x, y, c: x.permute(0, 2, 3, 1) * y[:, 1].unsqueeze(-1), ["narrow", "mul", "permute"]),
        (lambda x, y, c: x.permute(0, 3, 2, 1) * y[:, 1].transpose(1, 2).unsqueeze(-1), None),
        (lambda x, y, c: torch.stack([x[:, 1], x[:, 0]], 3), ["select", "select", "stack"]),
        (lambda x, y, c: torch.cat([x[:, 0].unsqueeze(1), y[:, 1].unsqueeze(1)], 1), ["select", "select", "stack"]),
        (lambda x, y, c: x.permute(0, 2, 3, 1) + y.permute(0, 3, 2, 1).transpose(1, 2), None),
        (lambda x, y, c: x.permute(2, 3, 0, 1).select(1, 4) * c, None),
        (lambda x, y, c: x.permute(0, 2, 3, 1) * y.reshape(3, 7, 5, 2).permute(0, 2, 1, 3)[..., :1], None),
        (lambda x, y, c: torch.cat([x[0, 0, :1, :1], c[0].reshape(1, 1) * c[1].reshape(1, 1)]), None),
        (lambda x, y, c: torch.cat([x.permute(0, 2, 3, 1), y.permute(0, 2, 3, 1)], 1)[:, 2:4], None),
        # What is viewed lies in another order in memory afterwards.
        (lambda x, y, c: torch.stack([x[:, 0], x[:, 1]], -1).view(3, -1), ["permute", "reshape"]),
        (lambda x, y, c: (torch.stack([x[:, 0], x[:, 1]], -1) * 2 + y[:, 0, :1, :1, None]).view(3, -1), None),
    ],
)
def test_a_cheaper_form_has_the_same_values(run, operations):
    graph, called = simplified(run, x, y, c)
    assert graph(x, y, c).shape == run(x, y, c).shape
    assert torch.allclose(graph(x, y, c), run(x, y, c), rtol=1e-14, atol=1e-15)
    assert operations is None or called == operations


def test_numbers_are_multiplied_where_it_costs_nothing():
    """They go into sums and into the coefficient, but for the first summand and the result."""
    u, c = torch.rand(3, 8, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)

    def run(u, c):
        second = (u.roll(1, 1) + u.roll(-1, 1) - 2 * u) / 0.01
        return 0.75 * u + 0.25 * (u + 0.1 * -(c * second))

    graph, called = simplified(run, u, c)
    assert torch.allclose(graph(u, c), run(u, c), rtol=1e-14, atol=1e-14)
    assert Counter(called) == {"roll": 2, "add": 2, "addcmul": 1, "mul": 2}


def test_numbers_are_multiplied_before_what_is_not_linear():
    u = torch.randn(3, 8, dtype=torch.float64)

    def run(u):
        twice = 2 * u
        return torch.minimum(twice, 3 - twice) + abs(-twice) - (0.0 - u) / 4, torch.stack([twice, u]), -twice

    graph, _ = simplified(lambda u: torch.cat([i.reshape(-1) for i in run(u)]), u)
    expected = torch.cat([i.reshape(-1) for i in run(u)])
    assert torch.allclose(graph(u), expected, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize(
    ("run", "operations"),
    [
        (lambda u, v: u + 0.1 * ((u * v + v * v) - (u * u - 3 * v)), {"addcmul": 3, "add": 1}),
        (lambda u, v: (u * v + v * v) + u, {"addcmul": 2}),
        (lambda u, v: (u * v + v) + u * u, {"addcmul": 2}),
        (lambda u, v: (u * v + v * v) + (u * u - (v - v * u)), {"mul": 1, "addcmul": 3, "add": 1}),
        (lambda u, v: u * v + v * v + u * u, {"mul": 1, "addcmul": 2}),
        (lambda u, v: (v - (u * v - v * v)) + (v - (u * u + u * v)), None),
    ],
)
def test_every_product_of_a_sum_is_added_in_one_operation(run, operations):
    u, v = torch.rand(2, 3, 8, dtype=torch.float64)
    graph, called = simplified(run, u, v)
    assert torch.allclose(graph(u, v), run(u, v), rtol=1e-13, atol=1e-14)
    assert operations is None or Counter(called) == operations


@pytest.mark.parametrize(
    ("run", "operations"),
    [
        # One product with a + b; one with a, of a sum in which u occurs once.
        (lambda u, v, a, b: v + a * u + b * u, ["add", "addcmul"]),
        (lambda u, v, a, b: v + a * (v - 2 * u) + a * (v.abs() - 2 * u), ["abs", "add", "add", "addcmul"]),
        (lambda u, v, a, b: v - 0.5 * (a * (u - v)) - 0.25 * (a * (v + u)), ["add", "addcmul", "mul"]),
        (lambda u, v, a, b: (a * u + b * u) * v + (2 * a * v + 2 * b * v) * u, None),
        # Multiplied out where each part has another factor, too.
        (lambda u, v, a, b: a * u + b * v + a * (v - 3 * u), ["add", "add", "addcmul", "mul"]),
        (lambda u, v, a, b: a * u + a * b * (u - 2 * v), ["add", "addcmul", "mul", "mul"]),
        (lambda u, v, a, b: a * u + b * (v.abs() + v - 3 * u), ["abs", "add", "add", "addcmul", "mul"]),
        # What is needed elsewhere stays.
        (lambda u, v, a, b: (u + v) * (v + a * (u + v) + a * v), None),
        # Where everything cancels, or the largest summand does.
        (lambda u, v, a, b: (u + a * v) - (u + a * v) + v, None),
        (lambda u, v, a, b: (u[:1] + v) - v + a * u[:1], None),
        (lambda u, v, a, b: (u + v) - (u + v), None),
        (lambda u, v, a, b: (0.1 * u + v) + 0.2 * u - 0.3 * u + a * u, ["addcmul"]),
    ],
)
def test_like_terms_are_collected(run, operations):
    u, a, b = torch.rand(3, 8, dtype=torch.float64), *torch.rand(2, dtype=torch.float64)

    def with_shifted(u, a, b):
        return run(u, u.roll(1, 1), a, b)

    graph, called = simplified(with_shifted, u, a, b)
    found, expected = graph(u, a, b), with_shifted(u, a, b)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, rtol=1e-13, atol=1e-15)
    assert operations is None or sorted(called) == [*operations, "roll"]


def test_equal_coefficients_of_the_stages_are_seen_to_be_equal():
    """The three stages of a Runge-Kutta method differ by numbers: the step takes one tensor per coefficient."""
    config = yaml.safe_load((CONF / "advection" / "parameters.yml").read_text())["equation"]
    equation = build_equation(config | {"parameters": {"velocity_x": 0.5, "velocity_y": -0.2}, "boundary": "periodic"})
    bound = Stepper(equation, "traced").bind(starts(equation, 1), equation.parameter_tensors(torch.float64))
    assert len(bound.inputs) == 1 + 4 + 4  # the cell itself, and two on each side along two axes


def test_a_selected_component_that_keeps_its_dimension_is_a_slice():
    u = torch.rand(3, 2, 8, dtype=torch.float64)
    graph, called = simplified(lambda u: u * u[:, -1].unsqueeze(1), u)
    assert torch.equal(graph(u), u * u[:, 1:])
    assert called == ["narrow", "mul"]


@pytest.mark.slow
def test_transforms_take_memory_as_it_lies():
    """Nothing is transposed between the transforms of one step."""
    assert "permute" not in functions(equation_of("burgers_2d"))


def test_a_transform_of_real_numbers_is_one_operation():
    u = torch.rand(2, 6, 8, dtype=torch.float64)

    def run(u):
        modes = torch.fft.fft(torch.fft.fft(u.to(torch.complex128), dim=1), dim=2)
        return torch.view_as_real(torch.fft.ifft(torch.fft.ifft(modes * modes, dim=1), dim=2))

    graph, called = simplified(run, u)
    assert torch.allclose(graph(u), run(u), rtol=1e-13, atol=1e-13)
    assert called == ["_fft_r2c", "mul", "_fft_c2c", "view_as_real"]
    leaf = u.clone().requires_grad_(True)
    found, expected = (torch.autograd.grad(f(leaf).square().sum(), leaf)[0] for f in (graph, run))
    assert torch.allclose(found, expected, rtol=1e-11, atol=1e-11 * float(expected.abs().max()))


def _real(values):
    return torch.view_as_real(values).select(-1, 0)


FACTORS = torch.randn(2, 6, 8, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("run", "shape", "halved"),
    [
        (lambda x, f: _real(torch.fft.ifft2(torch.fft.fft2(x) * f)), (3, 2, 6, 8), True),
        (lambda x, f: _real(torch.fft.ifft2(f[0].real * torch.fft.fft2(x))) * 3, (3, 2, 6, 8), True),
        (lambda x, f: _real(torch.fft.ifft2(torch.fft.fft2(x * 2) * f[0, :1])), (3, 2, 6, 8), True),
        (lambda x, f: _real(torch.fft.ifft2(torch.fft.fft2(x) * f[0, :, :1])), (3, 2, 6, 8), True),
        (lambda x, f: _real(torch.fft.ifft2(torch.fft.fft2(x) * f[:, :5, 1:])), (3, 2, 5, 7), True),
        (lambda x, f: _real(torch.fft.ifft(torch.fft.fft(x) * f[1, 2, :7])), (3, 7), True),
        (lambda x, f: _real(torch.fft.ifft2(torch.fft.fft2(x) * f.imag.to(torch.complex128))), (3, 2, 6, 8), True),
        (lambda x, f: _real(torch.fft.ifft2(torch.fft.fft2(x) * f[0, :1, :1])), (3, 2, 6, 8), True),
        (lambda x, f: _real(torch.fft.ifft2(torch.fft.fft2(x) * f[0, 0, 0])), (3, 2, 6, 8), True),
        (lambda x, f: _real(torch.fft.ifft(torch.fft.fft2(x) * f)), (3, 2, 6, 8), False),
        (lambda x, f: _real(torch.fft.ifft2(torch.fft.fft2(x) * x)), (3, 2, 6, 8), False),
        (lambda x, f: torch.view_as_real(torch.fft.ifft2(torch.fft.fft2(x) * f)).select(-1, 1), (3, 2, 6, 8), False),
    ],
)
def test_real_parts_of_products_need_half_of_the_coefficients(run, shape, halved):
    """For any factor, also one that makes the result complex; not where it is the state, or another part is asked."""
    state = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    graph, called = simplified(run, state, FACTORS)
    assert torch.allclose(graph(state, FACTORS), run(state, FACTORS), rtol=1e-13, atol=1e-14)
    assert ("_fft_c2r" in called) == halved
    assert ("_fft_c2c" in called) != halved


@pytest.mark.parametrize(
    ("run", "complex_products"),
    [
        (lambda z, f: z * f[0].real.to(z.dtype) + 2 * torch.fft.fft2(z), 0),
        (lambda z, f: (f[0, :1].real.to(z.dtype) * z - z.roll(1, 1) / 3) * f[1].imag.to(z.dtype), 0),
        (lambda z, f: (z + f) - 0.5 * z * f[0, 0, 0].real.to(z.dtype), 0),
        (lambda z, f: (f[0] + z) * f[1] + z, 1),
        (lambda z, f: (z + f) * (z * f[0].real.to(z.dtype)), 1),
        (lambda z, f: z + z * torch.view_as_real(z)[..., 0].to(z.dtype), 1),
        (lambda z, f: z + torch.view_as_real(z)[..., 0].to(z.dtype) * z, 1),
        (lambda z, f: (z + torch.view_as_real(z)[..., 1]) * 1j, 1),
        (lambda z, f: z + z * (f[0].real + f[0].imag * 1j), 2),
        (lambda z, f: z + torch.view_as_real(z)[..., 1] * f[0].real.to(z.dtype), 1),
    ],
)
def test_complex_numbers_are_pairs_where_real_ones_meet_them(run, complex_products):
    """Products of two complex numbers, or with what depends on the state, are as before."""
    state = torch.randn(3, 2, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def pairs(x, f):
        return torch.view_as_real(run(torch.fft.fft2(x), f)).clone()

    graph, _ = simplified(pairs, state, FACTORS)
    assert torch.allclose(graph(state, FACTORS), pairs(state, FACTORS), rtol=1e-13, atol=1e-13)
    products = [node for node in graph.graph.nodes if node.target in (torch.mul, torch.addcmul) and is_complex(node)]
    assert len(products) == complex_products
    leaf = state.clone().requires_grad_(True)
    found, expected = (torch.autograd.grad(f(leaf, FACTORS).square().sum(), leaf)[0] for f in (graph, pairs))
    assert torch.allclose(found, expected, rtol=1e-11, atol=1e-11 * float(expected.abs().max()))


@pytest.mark.parametrize("factor", [torch.float32, torch.float64, torch.int64])
def test_complex_numbers_stay_in_their_precision(factor):
    """Also where a factor was of another one, or was rounded, before it became complex."""
    x, f = torch.randn(3, 6, 8), 3 * torch.rand(6, 8, dtype=torch.float64)

    def run(x, f):
        z = torch.fft.fft2(x)
        return torch.view_as_real(z * f.to(factor).to(z.dtype) + torch.fft.fft2(x * x)).clone()

    graph, _ = simplified(run, x, f)
    assert graph(x, f).dtype == torch.float32
    assert torch.allclose(graph(x, f), run(x, f), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_complex_numbers_are_no_gain_of_a_compilation():
    """They are left out of the operations that a compiler puts together; a step without any leaves out none."""
    flow, heat = (program_of(equation_of(name)) for name in ("navier_stokes", "heat"))
    transforms = [node for node in flow.graph.nodes if "_fft" in node.name]
    assert len(transforms) < flow.operations - flow.real_operations < flow.operations
    assert heat.real_operations == heat.operations
    assert heat.gains_by_compilation
    assert not flow.gains_by_compilation


@pytest.mark.parametrize(
    ("shape", "dims"), [((3, 8), [1]), ((3, 7), [1]), ((2, 6, 8), [1, 2]), ((2, 5, 7), [1, 2]), ((2, 6, 8, 3), [1, 2])]
)
@pytest.mark.parametrize("norm", [0, 1, 2])
def test_the_gradient_of_half_a_spectrum_is_that_of_torch(shape, dims, norm):
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
    found, expected = real_transform(x, dims, norm), torch._fft_r2c(x, dims, norm, True)
    assert torch.equal(found, expected)
    weights = torch.randn(found.shape, dtype=torch.complex128, generator=generator)
    slopes = [torch.autograd.grad(z, x, weights + z.detach())[0] for z in (found, expected)]
    assert torch.allclose(*slopes, rtol=0, atol=1e-12)

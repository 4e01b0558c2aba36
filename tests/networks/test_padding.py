"""Padding by boundary, on arrays whose sides differ."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hyco.networks import line_convolution, padding
from hyco.networks.padding import Convolution, pad, set_memory_format

ROWS = torch.arange(6.0).reshape(1, 1, 2, 3)


def test_periodic_padding_takes_the_cells_of_the_other_side():
    assert pad(ROWS, 1, "periodic", 3)[0, 0].tolist() == [[2, 0, 1, 2, 0], [5, 3, 4, 5, 3]]
    assert pad(ROWS, 1, "periodic", 2)[0, 0, :, 0].tolist() == [3, 0, 3, 0]


def test_periodic_padding_wider_than_the_axis_goes_round_again():
    assert pad(ROWS, 4, "periodic", 3)[0, 0, 0].tolist() == [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_neumann_padding_repeats_the_outermost_cell():
    assert pad(ROWS, 2, "neumann", 3)[0, 0].tolist() == [[0, 0, 0, 1, 2, 2, 2], [3, 3, 3, 4, 5, 5, 5]]


def test_dirichlet_padding_is_zero():
    assert pad(ROWS, 1, "dirichlet", 2)[0, 0].tolist() == [[0, 0, 0], [0, 1, 2], [3, 4, 5], [0, 0, 0]]


def test_walls_that_differ_are_padded_each_by_its_own():
    assert pad(ROWS, 2, "dirichlet-neumann", 3)[0, 0].tolist() == [[0, 0, 0, 1, 2, 2, 2], [0, 0, 3, 4, 5, 5, 5]]
    assert pad(ROWS, 1, "neumann-dirichlet", 2)[0, 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5], [0, 0, 0]]


_PAIRS = [
    ("periodic", "dirichlet"),
    ("dirichlet", "neumann"),
    ("neumann", "periodic"),
    ("dirichlet-neumann", "dirichlet"),
]


@pytest.mark.parametrize("boundaries", _PAIRS)
@pytest.mark.parametrize("dilation", [1, 2])
def test_a_convolution_pads_each_axis_by_its_own_boundary(boundaries, dilation):
    layer = Convolution(2, 3, 3, boundaries, dilation=dilation)
    x = torch.randn(2, 2, 5, 7)
    padded = x
    for axis, boundary in enumerate(boundaries):
        padded = pad(padded, dilation, boundary, 2 + axis)
    inner = layer.convolution
    expected = torch.nn.functional.conv2d(padded, inner.weight, inner.bias, dilation=dilation)
    assert layer(x).shape == (2, 3, 5, 7)
    torch.testing.assert_close(layer(x), expected)


def test_in_two_dimensions_memory_has_the_channels_last_and_values_do_not_depend_on_it():
    layer = Convolution(4, 3, 3, ("periodic", "neumann"))
    assert layer.convolution.weight.is_contiguous(memory_format=torch.channels_last)
    x = torch.randn(2, 4, 5, 7)
    found = layer(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    set_memory_format(layer, torch.contiguous_format)
    assert layer.convolution.weight.is_contiguous()
    torch.testing.assert_close(layer(x), found)
    # Sums over channels alone gain nothing.
    assert Convolution(4, 3, 1, ("periodic", "neumann")).convolution.weight.is_contiguous()
    assert Convolution(4, 3, 3, ("periodic",)).convolution.weight.is_contiguous()


class Called(TorchDispatchMode):
    """Remembers the names of the operators."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.__dict__.setdefault("names", set()).add(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("count", "small"), [(1, False), (3, True), (40, False)])
def test_without_a_compiler_small_and_large_batches_are_convolved_alike(monkeypatch, boundary, dilation, count, small):
    """Values and gradients, on either side of the size from which on oneDNN is faster."""
    for module in (line_convolution, padding):
        monkeypatch.setattr(module, "library", lambda: None)
    layer = Convolution(5, 7, 5, (boundary,), dilation=dilation)
    x = torch.randn(count, 5, 200, requires_grad=True)
    variables, found = [x, *layer.parameters()], []
    for largest, own in ((padding._SMALL, small and dilation == 1), (0, False)):
        monkeypatch.setattr(padding, "_SMALL", largest)
        with Called() as called:
            out = layer(x)
        assert ("_slow_conv2d_forward.default" in called.names) == own
        found.append([out, *torch.autograd.grad((out * torch.linspace(-1, 1, 200)).sum(), variables)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_in_mixed_precision_a_line_is_convolved_in_it():
    with torch.autocast("cpu", torch.bfloat16):
        assert Convolution(5, 7, 5, ("periodic",))(torch.randn(3, 5, 200)).dtype == torch.bfloat16


def test_a_constant_stays_constant_where_nothing_flows_through_the_boundary():
    out = Convolution(1, 1, 5, ("periodic", "neumann"))(torch.ones(1, 1, 6, 9))
    torch.testing.assert_close(out, out[0, 0, 0, 0].expand_as(out))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 1, 4, ("periodic",)), "odd size"),
        ((1, 1, 3, ("open",)), "unknown boundary 'open'; available: periodic, neumann, dirichlet"),
        ((1, 1, 3, ("periodic",) * 4), "1 to 3 dimensions"),
    ],
)
def test_what_a_convolution_cannot_do_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        Convolution(*arguments)

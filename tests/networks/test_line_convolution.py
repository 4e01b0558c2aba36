"""Networks in one dimension as code of hyco's own, against torch's convolutions in float64."""

import copy
import logging
import shutil

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.functional import silu
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from hyco.networks import line_convolution
from hyco.networks.dilated_resnet import DilatedResNet, DilatedResNetConfig
from hyco.networks.line_convolution import LineConvolutions, Link
from hyco.networks.padding import BOUNDARIES, Convolution
from hyco.networks.resnet import ResNet, ResNetConfig
from hyco.networks.unet import UNet, UNetConfig

with_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


def largest_difference(net, x):
    """Of values and gradients from those of torch's convolutions in float64, relative to the largest number of each."""
    generator = torch.Generator().manual_seed(1)
    for weight in net.parameters():
        if not weight.any():  # a last layer would hide what is before it
            torch.nn.init.normal_(weight, std=0.1, generator=generator)
    exact = copy.deepcopy(net).double()
    pairs = []
    for module, start in ((net, x.clone()), (exact, x.double())):
        out = module(start.requires_grad_(True))
        slopes = 1.5 + torch.cos(torch.arange(out.numel())).reshape(out.shape).to(out.dtype)  # no sum is small
        pairs.append([out.detach(), *torch.autograd.grad((out * slopes).sum(), [start, *module.parameters()])])
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*pairs, strict=True))


SHAPES = [  # samples, channels, outputs, cells, kernel, dilation
    (3, 5, 7, 37, 5, 1),
    (9, 24, 24, 64, 5, 2),
    (2, 1, 24, 40, 5, 1),
    (5, 24, 1, 48, 3, 1),
    (2, 13, 12, 5, 7, 3),
    (6, 3, 13, 9, 3, 4),
    (1, 6, 6, 1, 3, 1),
    (2, 3, 8, 20, 1, 1),
]


@with_compiler
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("samples", "channels", "outputs", "cells", "kernel", "dilation"), SHAPES)
def test_a_convolution_and_its_gradients(boundary, samples, channels, outputs, cells, kernel, dilation):
    """Vectors that fill a row and that do not, kernels wider than the axis, tiles of six channels and what is left."""
    torch.manual_seed(0)
    layer, x = (
        Convolution(channels, outputs, kernel, [boundary], dilation=dilation),
        torch.randn(samples, channels, cells),
    )
    assert layer.line.runs(x)
    assert largest_difference(layer, x) < 2e-6


@with_compiler
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(
    "make",
    [
        lambda walls: ResNet(ResNetConfig(filters=13, dilations=(1, 2)), 2, 3, walls),
        lambda walls: ResNet(ResNetConfig(filters=8, activation="gelu"), 2, 3, walls),
        lambda walls: DilatedResNet(DilatedResNetConfig(filters=8, blocks=1), 2, 3, walls),
        lambda walls: UNet(UNetConfig(filters=4, levels=2), 2, 3, walls),
    ],
    ids=["resnet", "another activation", "dilated", "unet"],
)
def test_a_network_and_its_gradients(boundary, make):
    torch.manual_seed(0)
    assert largest_difference(make([boundary]), 3 * torch.randn(5, 2, 44)) < 2e-6


@with_compiler
def test_layers_at_once_are_those_one_after_the_other_and_keep_the_names_of_weights():
    torch.manual_seed(0)
    net = ResNet(ResNetConfig(filters=6), 1, 1, ["periodic"])
    assert set(net.state_dict()) == {
        f"{layer}.convolution.{kind}"
        for layer in ("lift", "blocks.0.2", "blocks.0.5", "blocks.1.2", "blocks.1.5", "head.1")
        for kind in ("weight", "bias")
    }
    torch.nn.init.normal_(net.head[1].convolution.weight)
    x = torch.randn(2, 1, 20)
    in_turn = net.lift(x)
    for block in net.blocks:
        in_turn = in_turn + block(in_turn)
    torch.testing.assert_close(net(x), net.head(in_turn), rtol=1e-5, atol=1e-6)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.lift.convolution.weight.zero_()  # a copy has weights of its own
    assert not torch.equal(other(x), net(x))


@with_compiler
def test_the_same_bits_come_again_also_with_layers_that_are_computed_again():
    torch.manual_seed(0)
    net, x = ResNet(ResNetConfig(filters=9), 1, 1, ["periodic"]), torch.randn(7, 1, 33)
    torch.nn.init.normal_(net.head[1].convolution.weight)
    found = []
    for run in (net, net, lambda x: checkpoint(net, x, use_reentrant=False)):
        out = run(x)
        found.append([out, *torch.autograd.grad(out.square().sum(), list(net.parameters()))])
    for others in found[1:]:
        assert all(map(torch.equal, found[0], others))
    # A sample's values do not depend on those beside it.
    assert torch.equal(net(x[2:3]), net(x)[2:3])


@with_compiler
def test_the_activation_holds_for_all_numbers():
    inner = torch.nn.Conv1d(1, 1, 1)
    torch.nn.init.ones_(inner.weight)
    torch.nn.init.zeros_(inner.bias)
    line = LineConvolutions([Link(inner, activated=True)], line_convolution.walls(None))
    x = torch.cat([torch.linspace(-100, 100, 2001), torch.tensor([0.0, 1e-30, -1e-30, 3e38])]).reshape(1, 1, -1)
    pairs = []
    for function, start in ((line, x.clone()), (silu, x.double())):
        out = function(start.requires_grad_(True))
        pairs += [(out.detach(), torch.autograd.grad(out.sum(), start)[0])]
    torch.testing.assert_close(pairs[0][0].double(), pairs[1][0], rtol=1e-6, atol=1e-30)
    torch.testing.assert_close(pairs[0][1].double(), pairs[1][1], rtol=1e-6, atol=2e-6)
    assert line(torch.full((1, 1, 3), torch.nan)).isnan().all()


@with_compiler
def test_what_it_does_not_compute_is_torchs():
    layer = Convolution(2, 3, 3, ["periodic"])
    x = torch.randn(2, 2, 8)
    assert layer.line.runs(x)
    assert not layer.line.runs(x.double())
    assert not layer.line.runs(x.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not layer.line.runs(x)
    assert not Convolution(2, 3, 3, ["periodic"]).double().line.runs(x)
    assert Convolution(2, 3, 3, ["periodic"] * 2).line is None


def mapped(net, x):
    return torch.func.vmap(net)(x[None])[0]


def derived_backward(net, x):
    """The sum of squares that torch.func derives."""

    def loss(weights):
        return torch.func.functional_call(net, weights, (x,)).square().sum()

    return torch.func.grad_and_value(loss)(dict(net.named_parameters()))[1]


def derived_forward(net, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(net(forward_ad.make_dual(x, torch.ones_like(x)))).primal


def recorded(net, x):
    return make_fx(net)(torch.zeros_like(x))(x)


def counted(net, x):
    with FlopCounterMode(display=False) as counter:
        out = net(x)
    assert counter.get_total_flops() > 0
    return out


def without_numbers(net, x):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert net(mode.from_tensor(x)).shape == x.shape
    return net(x)


def traced(net, x):
    return torch.jit.trace(net, torch.zeros_like(x))(x)


@with_compiler
@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("see", [mapped, derived_backward, derived_forward, recorded, counted, without_numbers, traced])
def test_torch_sees_each_operation_where_it_has_to(see):
    """It would find no operation, no slope, or no numbers in memory otherwise."""
    torch.manual_seed(0)
    net, x = ResNet(ResNetConfig(filters=6), 1, 1, ["periodic"]), torch.randn(3, 1, 20)
    torch.nn.init.normal_(net.head[1].convolution.weight)
    expected = net(x)
    torch.testing.assert_close(
        see(net, x), expected.square().sum() if see is derived_backward else expected, rtol=1e-5, atol=1e-5
    )


@with_compiler
def test_without_gradients_a_few_samples_are_convolved_at_a_time(monkeypatch):
    """The states between would fill the memory where there are many samples; no bit depends on it."""
    torch.manual_seed(0)
    net, x = ResNet(ResNetConfig(filters=6), 1, 1, ["periodic"]), torch.randn(11, 1, 20)
    torch.nn.init.normal_(net.head[1].convolution.weight)
    expected, counts = net(x), []
    monkeypatch.setattr(line_convolution, "_FEW", 4 * 20 * 6)
    last = LineConvolutions._last
    monkeypatch.setattr(LineConvolutions, "_last", lambda self, x: (counts.append(len(x)), last(self, x))[1])
    with torch.no_grad():
        assert torch.equal(net(x), expected)
    assert counts == [4, 4, 3]
    assert torch.equal(net(x), expected)
    assert counts == [4, 4, 3, 11]


@with_compiler
def test_neither_threads_nor_the_order_in_memory_change_a_bit():
    torch.manual_seed(0)
    layer, x = Convolution(3, 5, 3, ["neumann"]), torch.randn(4, 3, 20)
    expected, threads = layer(x), torch.get_num_threads()
    others = [x.transpose(1, 2).contiguous().transpose(1, 2), torch.randn(4, 3, 40)[..., ::2].copy_(x)]
    assert not any(other.is_contiguous() for other in others)
    assert all(torch.equal(layer(other), expected) for other in others)
    assert torch.equal(layer(x[:1].expand(4, -1, -1)), expected[:1].expand(4, -1, -1))
    slopes = torch.autograd.grad(expected.sum(), layer.convolution.weight)  # of a sum the slope has strides of 0
    torch.testing.assert_close(
        slopes, torch.autograd.grad((layer(x) * torch.ones_like(expected)).sum(), layer.convolution.weight)
    )
    try:
        torch.set_num_threads(2)
        assert torch.equal(layer(x), expected)
    finally:
        torch.set_num_threads(threads)


@with_compiler
def test_no_sample_is_no_sample():
    layer, x = Convolution(2, 3, 3, ["periodic"]), torch.randn(0, 2, 8, requires_grad=True)
    out = layer(x)
    assert out.shape == (0, 3, 8)
    out.sum().backward()
    assert not layer.convolution.weight.grad.any()


@with_compiler
def test_many_numbers_are_left_to_several_threads(monkeypatch):
    layer, x = Convolution(2, 3, 3, ["periodic"]), torch.randn(2, 2, 8)
    for threads, few in ((1, True), (4, False)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        monkeypatch.setattr(line_convolution, "_FEW", 2 * 8 * 3 - 1)
        assert layer.line.runs(x) == few


@with_compiler
def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    line_convolution.library.cache_clear()
    try:
        with caplog.at_level(logging.INFO):
            layer, x = Convolution(2, 3, 3, ["periodic"]), torch.randn(2, 2, 8)
            assert layer.line.runs(x)
        assert "What is compiled is not kept" in caplog.text
        assert layer(x).shape == (2, 3, 8)
    finally:
        line_convolution.library.cache_clear()


def test_without_a_compiler_torch_convolves_and_a_line_says_so(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    line_convolution.library.cache_clear()
    try:
        with caplog.at_level(logging.INFO):
            layer, x = Convolution(2, 3, 3, ["periodic"]), torch.randn(2, 2, 8)
            assert not layer.line.runs(x)
            assert layer(x).shape == (2, 3, 8)
        assert caplog.text.count("Networks in one dimension take torch's convolutions") == 1
        assert "no-such-compiler" in caplog.text
    finally:
        line_convolution.library.cache_clear()

"""What a function of tensors does is a graph with the same values; what depends on values is refused."""

import pytest
import torch
from torch import fx

from hyco.stepping.recorder import TracingError, record

WEIGHTS = torch.linspace(0.1, 0.9, 6, dtype=torch.float64)


def graph_of(run, *inputs, **keys):
    recording = record(run, inputs, **keys)
    return recording, fx.GraphModule(recording.constants, recording.graph)


def operations(recording):
    return [node for node in recording.graph.nodes if node.op == "call_function"]


def mixed(x, k):
    first, second, third = x.split(2, dim=-1)
    waves = torch.fft.rfft(x).abs().square().sum(-1, keepdim=True)
    return (
        torch.cat([first * WEIGHTS[:2] + k, torch.where(second > 0, second, -second).exp(), third.roll(1, -1)], -1)
        - waves
    )


def walls(x, k):
    behind = torch.zeros(len(x), 1, dtype=x.dtype)
    wide = torch.cat([behind, x, behind + k], dim=1)
    return (wide[:, 2:] - 2 * x + wide[:, :-2]) @ torch.diag(WEIGHTS)


def slopes(x, k):
    with torch.enable_grad():
        own = x.detach().requires_grad_()
        value = (own.sin() * k * WEIGHTS).clamp(min=0.01).prod(-1).sum()
        return torch.autograd.grad(value, own)[0]


@pytest.mark.parametrize("run", [mixed, walls, slopes])
def test_a_graph_gives_the_same_values(run):
    x, k = torch.linspace(-1.0, 2.0, 30, dtype=torch.float64).reshape(5, 6), torch.tensor(0.7, dtype=torch.float64)
    recording, graph = graph_of(run, x, k)
    with torch.no_grad():
        assert torch.allclose(graph(x, k), run(x, k), rtol=1e-14, atol=1e-14)
    for node in operations(recording):
        assert node.meta["val"] is not None


def test_what_does_not_depend_on_the_inputs_is_worked_out_unless_the_size_of_a_batch_shapes_it():
    def run(x):
        return x + torch.ones(1, 6, dtype=torch.float64).cumsum(-1).exp() + torch.zeros(len(x), 6, dtype=torch.float64)

    x = torch.rand(7, 6, dtype=torch.float64)
    assert len(operations(graph_of(run, x)[0])) == 2
    kept = operations(graph_of(run, x, size=7)[0])
    assert len(kept) == 3
    assert any(node.target is torch.ops.aten.zeros.default for node in kept)


def test_equal_constants_are_one():
    def run(x):
        return x * torch.full((6,), 0.3, dtype=torch.float64) + x * torch.full((6,), 0.3, dtype=torch.float64)

    assert len(graph_of(run, torch.rand(5, 6, dtype=torch.float64))[0].constants) == 1


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (lambda x: x * float(x.max()), "needs the values"),
        (lambda x: x if x.sum() > 0 else -x, "needs the values"),
        (lambda x: x[x > 0], "needs the values"),
        (lambda x: x * torch.zeros(6, dtype=torch.float64).add_(1.0), "in place"),
        (lambda x: x.clone().mul_(2.0), "in place"),
    ],
)
def test_a_step_that_looks_at_values_or_changes_them_is_refused(run, reason):
    with pytest.raises(TracingError, match=reason):
        record(run, [torch.rand(5, 6, dtype=torch.float64)])


def test_a_tensor_of_a_recording_is_of_no_use_after_it():
    kept = []
    record(lambda x: kept.append(x) or 2 * x, [torch.rand(5, 6)])
    with pytest.raises(TracingError, match="outside"):
        kept[0] + 1

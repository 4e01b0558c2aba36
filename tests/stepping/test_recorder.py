"""What a function of tensors does is a graph with the same values; what depends on values is refused."""

import copy

import pytest
import torch
from torch import fx

from hyco.stepping.graph import trace
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
        (lambda x: WEIGHTS[x[0] > 0], "needs the values"),
        (lambda x: x.index_put_((torch.tensor([0]),), x[1]), "in place"),
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


ORDER = torch.tensor([1, 2, 3, 4, 5, 0])
TABLE = torch.linspace(1.0, 2.0, 64, dtype=torch.float64) ** 2
ONCE = torch.tensor([True, False, True, True, False, True])


@pytest.mark.parametrize(
    "run",
    [
        lambda x: x[:, [1, 2, 3, 4, 5, 0]] * 2,
        lambda x: x[:, ORDER] - x,
        lambda x: x[:, None, [[0, 1], [2, 3]]],
        lambda x: TABLE[(x * 60).long().clamp(0, 63)],
        lambda x: TABLE[(x * 60).long().clamp(0, 63), None].sum(-1) + x[:, [0]],
        lambda x: x[:, ONCE],
        lambda x: x[:, ONCE, None],
        lambda x: x[torch.arange(len(x)), (x.sum(-1) * 2).long().clamp(0, 5)],
        lambda x: x.gather(1, x.argsort(1)).index_select(1, ORDER),
        lambda x: torch.index_put(x, (torch.arange(len(x))[:, None], ORDER[:3]), x[:, 3:]),
        lambda x: x.index_copy(1, ORDER[:2], x[:, 2:4]).scatter_add(1, x.argsort(1), x),
        lambda x: torch.where(x > 0.5, x, TABLE[:6][ORDER]),
    ],
)
def test_elements_are_selected_by_their_numbers_for_every_batch_size(run):
    program = trace(run, torch.rand(3, 6, dtype=torch.float64), [], [])
    for count in (1, 4):
        x = torch.rand(count, 6, dtype=torch.float64)
        assert torch.equal(program.step(x, *program.prepare(count)), run(x))


@pytest.mark.parametrize(
    "run",
    [
        lambda x: torch.fft.fft(x).conj().real,
        lambda x: torch.fft.fft(x).conj().imag,
        lambda x: torch.view_as_real(torch.fft.fft(x).conj().resolve_conj())[..., 1],
        lambda x: (torch.fft.fft(x).mH @ torch.fft.fft(TABLE[:6] * x).conj()).imag.sum(0) + x,
        lambda x: copy.deepcopy(x) * 2,
    ],
)
def test_conjugates_and_copies_are_worked_out(run):
    program = trace(run, torch.rand(3, 6, dtype=torch.float64), [], [])
    x = torch.rand(4, 6, dtype=torch.float64)
    assert torch.allclose(program.step(x, *program.prepare(4)), run(x), rtol=1e-14, atol=1e-14)


def test_a_tensor_of_another_recording_is_refused():
    kept = []

    def run(x):
        kept.append(x)
        return kept[0] + x

    record(run, [torch.rand(5, 6)])
    with pytest.raises(TracingError, match="another recording"):
        record(run, [torch.rand(5, 6)])

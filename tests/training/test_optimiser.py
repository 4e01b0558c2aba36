"""Updates of weights, beside the optimisers of torch, and what they remember in a checkpoint."""

import pytest
import torch

from hyco.training.optimiser import Optimiser

THEIRS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def weights():
    """Of two layers, one with the channels last, and one that no loss depends on."""
    torch.manual_seed(0)
    made = [torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last), torch.randn(7), torch.randn(2)]
    return [torch.nn.Parameter(weight) for weight in made]


def losses(parameters):
    """Of updates that differ from one another, by weights of which one needs no gradient."""
    return ((factor * (parameters[0].sum() * parameters[1]).cos()).sum() for factor in (1.0, 30.0, -0.2, 4.0))


@pytest.mark.parametrize("rule", list(THEIRS))
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_weights_and_what_is_remembered_are_those_of_torch_to_the_bit(rule, decay):
    ours, theirs = weights(), weights()
    own = Optimiser(ours, rule, decay)
    other = THEIRS[rule](theirs, lr=1.0, weight_decay=decay, fused=True)
    for number, (mine, its) in enumerate(zip(losses(ours), losses(theirs), strict=True)):
        rate, left_out = 0.1 / (1 + number), torch.tensor(float(number == 2))
        own.clear_gradients()
        mine.backward()
        own.step(rate, left_out)
        other.param_groups[0]["lr"], other.found_inf = rate, left_out
        other.zero_grad()
        its.backward()
        other.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    remembered = {f"{i}.{k}": v for i, w in enumerate(theirs) for k, v in other.state[w].items() if v is not None}
    found = own.tensors()
    assert found.keys() == remembered.keys()
    assert all(torch.equal(found[name], value) for name, value in remembered.items())


def test_weights_that_the_kernels_would_get_wrong_are_refused():
    with pytest.raises(ValueError, match=r"of shape \[3\], is complex64; .*view_as_real"):
        Optimiser([torch.nn.Parameter(torch.zeros(3, dtype=torch.complex64))])
    for view in (torch.zeros(6, 3)[::2], torch.zeros(1, 3).expand(3, 3)):
        with pytest.raises(ValueError, match=r"of shape \[3, 3\], is a part of another tensor, or repeats itself"):
            Optimiser([torch.nn.Parameter(view)])
        Optimiser([torch.nn.Parameter(view, requires_grad=False), torch.nn.Parameter(torch.zeros(3, 2).t())])


def test_what_is_remembered_comes_back_in_the_memory_format_of_the_weights():
    made = weights()
    next(losses(made)).backward()
    optimisers = [Optimiser(made) for _ in range(2)]
    optimisers[0].step(0.1)
    optimisers[1].load({name: value.contiguous() for name, value in optimisers[0].tensors().items()})
    for name, value in optimisers[0].tensors().items():
        assert torch.equal(optimisers[1].tensors()[name], value)
        assert optimisers[1].tensors()[name].stride() == value.stride()
    with pytest.raises(ValueError, match=r"optimizer/0.exp_avg has the shape \[3\], its weights have \[4, 3, 5, 5\]"):
        optimisers[1].load({"0.exp_avg": torch.zeros(3)})

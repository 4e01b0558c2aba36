"""A training never goes on from numbers that are not finite, and says when it cannot go on at all."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hyco.training.finite import DeadNetworkError, FiniteState
from hyco.training.optimiser import Optimiser


class Setup:
    """A small network whose weights a test can spoil."""

    def __init__(self, reductions=2):
        torch.manual_seed(0)
        self.network = nn.Linear(3, 2)
        self.optimizer = Optimiser(self.network.parameters())
        self.finite = FiniteState(self.tensors, self.optimizer, reductions)

    def tensors(self):
        states = {
            f"optimizer/{i}.{key}": value
            for i, state in enumerate(self.optimizer.state.values())
            for key, value in state.items()
        }
        return {**{f"weights/{k}": v for k, v in self.network.state_dict().items()}, **states}

    def end(self, epoch, rate=1.0, taken=1, skipped=0):
        state, total = self.finite.copy()
        self.finite.end_epoch(epoch, rate, state, math.isfinite(total), taken, skipped, lambda: "the gradient of bias")

    def step(self):
        self.optimizer.clear_gradients()
        self.network(torch.ones(1, 3)).square().sum().backward()
        self.optimizer.step(1e-3)

    def values(self):
        return {name: value.clone() for name, value in self.tensors().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("spoilt", ["weights/weight", "optimizer/1.exp_avg_sq", "optimizer/0.exp_avg"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_it_goes_back_to_the_epoch_before_and_lowers_the_rate(caplog, spoilt, value):
    setup = Setup()
    setup.step()
    setup.end(1, 1e-3)
    before = setup.values()
    setup.step()
    setup.tensors()[spoilt].flatten()[-1] = value
    setup.end(2, 1e-3)
    assert equal(setup.values(), before)
    assert setup.finite.factor == pytest.approx(0.1)
    assert f"Epoch 2: {spoilt} of the network is not finite at the learning rate 0.001" in caplog.text


def test_the_first_epoch_is_taken_back_with_what_the_optimiser_remembers_of_it():
    setup = Setup()
    before = setup.values()
    setup.step()
    setup.network.weight.data[0, 0] = math.nan
    setup.end(1, 1.0)
    assert equal(setup.values(), before)
    setup.step()
    setup.end(2, 0.1)


def test_after_as_many_reductions_as_allowed_it_is_an_error_that_names_epoch_tensor_and_rate():
    setup = Setup(reductions=2)
    for epoch in (1, 2):
        setup.network.bias.data[0] = math.inf
        setup.end(epoch, 5.0)
    setup.network.bias.data[0] = math.inf
    with pytest.raises(
        DeadNetworkError, match=r"epoch 3: weights/bias .* learning rate 0\.05, which was lowered 2 times"
    ):
        setup.end(3, 0.05)


def test_epochs_without_any_update_end_a_training_unless_one_has_some():
    setup = Setup(reductions=1)
    for epoch in range(1, 7):
        setup.end(epoch, taken=epoch % 2, skipped=3)
    message = (
        "epoch 7: no update of the network could be taken in 2 epochs in a row.*: the gradient of bias is not finite"
    )
    with pytest.raises(DeadNetworkError, match=message):
        setup.end(7, taken=0, skipped=3)


def test_a_resumed_training_has_lowered_its_rate_as_often():
    setup, resumed = Setup(), Setup()
    setup.network.bias.data[0] = math.inf
    setup.end(1, 1.0)
    resumed.finite.load(setup.finite.describe())
    assert resumed.finite.describe() == {"factor": pytest.approx(0.1), "lowered": 1, "barren": 0}
    resumed.network.bias.data[0] = math.nan
    with pytest.raises(DeadNetworkError, match="the network of the checkpoint is not finite"):
        resumed.finite.load({})

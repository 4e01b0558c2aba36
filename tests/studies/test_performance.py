"""The baselines of the performance benchmark give the numbers of what is measured, and the benchmark runs."""

import pytest
import torch

from hyco.physics.stepper import Stepper
from hyco.rollout import rollout


@pytest.fixture(scope="module")
def benchmark():
    import performance

    return performance


@pytest.fixture(scope="module")
def baselines():
    import baselines

    return baselines


def test_phiflow_and_the_hand_written_step_are_the_burgers_step(baselines):
    equation = baselines.CentralBurgers(12)
    start = equation.initial_states(2, 0.5, 1.0, torch.Generator().manual_seed(0))
    viscosity = torch.tensor(0.05, dtype=torch.float64)
    expected = rollout(Stepper(equation).bind(start, {"viscosity": viscosity}), start, 5)
    assert not torch.allclose(expected[:, -1], start, atol=1e-3)
    for step in (
        baselines.phiflow_burgers(equation, viscosity, jit=False),
        baselines.torch_burgers(equation, viscosity),
    ):
        assert torch.allclose(rollout(step, start, 5), expected, rtol=0, atol=1e-13)


def test_the_hand_written_step_is_that_of_gray_scott(benchmark, baselines):
    equation = benchmark.gray_scott(16)
    start = equation.initial_states(2, 4.0, 1.0, torch.Generator().manual_seed(0))
    values = equation.parameter_tensors(torch.float64)
    step = baselines.torch_gray_scott(equation, values)
    expected = rollout(Stepper(equation).bind(start, values), start, 20)
    assert torch.allclose(rollout(step, start, 20), expected, rtol=0, atol=1e-13)


def test_the_bare_loop_is_an_epoch_of_the_training(benchmark, baselines):
    ours, other = benchmark.trainer(2, 6), benchmark.trainer(2, 6)
    samples = ours.prepare(ours.starts.fill(ours.predict))
    for epoch in (1, 2):
        found = ours.epoch(epoch, samples)["synthetic_loss"]
        assert baselines.bare_epoch(other, samples) == pytest.approx(found, rel=1e-4)


def test_a_ratio_tells_what_takes_longer(benchmark):
    def work(count):
        return lambda: sum(range(count))

    found = benchmark.ratio(work(100_000), work(1_000_000), 7)
    assert found["lower"] <= found["median"] <= found["upper"]
    assert 5 < found["median"] < 20


def test_rows_make_a_table(benchmark):
    rows = [benchmark.segments_row(8, 12, 2), benchmark.epoch_row(2)]
    assert all(row["median"] > 0 for row in rows)
    assert benchmark.table(rows).count("\n") == 3

"""The baselines of the performance benchmark give the numbers of what is measured, and the benchmark runs."""

import pytest
import torch
from phiml.backend import ComputeDevice
from phiml.backend.torch import TORCH

from hand_written import HAND_WRITTEN
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper

# Recording the steps of all of them takes long.
QUICK = {"heat", "gray_scott", "central_burgers", "darcy", "elliptic"}


@pytest.fixture(scope="module")
def benchmark():
    import performance

    return performance


@pytest.fixture(scope="module")
def baselines():
    import baselines

    return baselines


@pytest.mark.slow
@pytest.mark.parametrize("jit", [False, True])
def test_phiflow_has_the_burgers_step(baselines, jit):
    equation = baselines.CentralBurgers(12)
    start = equation.initial_states(2, 0.5, 1.0, torch.Generator().manual_seed(0))
    viscosity = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    expected = rollout(Stepper(equation).bind(start, {"viscosity": viscosity}), start, 5)[:, -1]
    assert not torch.allclose(expected, start, atol=1e-3)
    found = baselines.phiflow_end(equation, viscosity, 5, jit=jit)(start)
    assert torch.allclose(found, expected, rtol=0, atol=1e-13)
    slopes = [torch.autograd.grad(end.square().sum(), viscosity)[0] for end in (found, expected)]
    assert torch.allclose(*slopes, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "execution"),
    [
        pytest.param(name, execution, marks=[pytest.mark.slow] * (execution == "traced" and name not in QUICK))
        for name in HAND_WRITTEN
        for execution in ("plain", "traced")
    ],
)
def test_a_gpu_that_is_not_asked_for_plays_no_part(benchmark, monkeypatch, name, execution):
    """PhiML would put constants there; a device without memory stands for it."""
    equation = benchmark.equation_of(name, 8)
    start, values = benchmark.start_of(equation, 2), equation.parameter_tensors(torch.float64)
    expected = Stepper(equation, "plain")(start, values)
    gpu = ComputeDevice(TORCH, "another", "GPU", -1, -1, "", ref="meta")
    monkeypatch.setattr(TORCH, "_default_device", gpu)
    found = Stepper(benchmark.equation_of(name, 8), execution)(start, values)
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert TORCH.get_default_device() is gpu


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in HAND_WRITTEN]
)
@pytest.mark.parametrize("cells", [pytest.param(16, marks=pytest.mark.slow), 15])
def test_a_hand_written_step_is_that_of_the_equation(benchmark, name, cells):
    """Numbers and gradients; the states have no symmetry that could hide an exchange of axes or signs."""
    equation = benchmark.equation_of(name, cells)
    start = benchmark.start_of(equation, 2)
    start = start + 0.01 * torch.rand(start.shape, dtype=start.dtype, generator=torch.Generator().manual_seed(1))
    values = {n: v.requires_grad_(True) for n, v in equation.parameter_tensors(torch.float64).items()}
    ends, gradients = [], []
    for stepper in (Stepper(equation), HAND_WRITTEN[name](equation)):
        states = rollout(stepper.bind(start, values), start, 3)
        weights = torch.linspace(-1, 1, states.numel(), dtype=torch.float64).reshape(states.shape)
        ends.append(states.detach())
        gradients.append(torch.autograd.grad((states * weights).sum(), list(values.values())))
    assert not torch.allclose(ends[0][:, -1], start, atol=1e-4)
    assert float((ends[1] - ends[0]).abs().max()) < 1e-12 * float(ends[0].abs().max())
    for found, expected in zip(*reversed(gradients), strict=True):
        assert torch.allclose(found, expected, rtol=1e-9, atol=1e-11 * float(expected.abs().max()))


def test_the_bytes_of_a_step_are_those_of_its_operations(benchmark):
    x = torch.zeros(10, 10, dtype=torch.float64)
    with benchmark.Traffic() as traffic:
        (x[:5] + 1).roll(1, 0).transpose(0, 1)
    assert traffic.moved == 2 * 2 * 400


def test_the_gradient_of_rows_can_be_computed_again(benchmark):
    rows = benchmark.step_rows("heat", 8, 2, ["traced"])
    assert [row["against"] for row in rows] == ["hand-written, eager"] * 2


@pytest.mark.slow
def test_the_bare_loop_is_an_epoch_of_the_training(benchmark, baselines):
    ours, other = benchmark.trainer(2, 6), benchmark.trainer(2, 6)
    samples = ours.prepare(ours.starts.fill(ours.rollout))
    for epoch in (1, 2):
        found = ours.epoch(epoch, samples)["synthetic_loss"]
        assert baselines.bare_epoch(other, samples) == pytest.approx(found, rel=1e-4)


def test_a_ratio_tells_what_takes_longer(benchmark):
    def work(count):
        return lambda: sum(range(count))

    found = benchmark.ratio(work(100_000), work(1_000_000), 7)
    assert found["lower"] <= found["median"] <= found["upper"]
    assert 5 < found["median"] < 20


@pytest.mark.slow
def test_rows_make_a_table(benchmark):
    rows = [benchmark.segments_row(8, 12, 2), benchmark.epoch_row(2)]
    assert all(row["median"] > 0 for row in rows)
    assert benchmark.table(rows).count("\n") == 3


@pytest.mark.slow
def test_a_hybrid_costs_more_than_its_halves_but_less_than_the_rest_of_the_run():
    import performance_training

    halves, models, slower, conversion, saved = performance_training.hybrid_rows("burgers_1d", 5, 1)
    assert slower["median"] < halves["median"] < models["median"] < 1
    assert 0 < conversion["median"] < 5
    assert 0 < saved["median"] < 20


def test_the_hand_written_loss_is_that_of_an_update():
    import hand_written
    import performance_training

    equation, trainer, interaction = performance_training.hidden_potential("traced")
    ours = trainer()
    start = ours.model.coordinates
    theta = start + 0.1 * torch.arange(len(start))
    loss = performance_training.potential_loss(ours, hand_written.inviscid_burgers(equation), interaction, 0.3)
    expected = ours.problem.objective(theta[None], 1, 0.3, interaction).square().sum()
    assert float(loss(theta)) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize(
    ("epochs", "leak"),
    [pytest.param(20, 500, marks=pytest.mark.slow), pytest.param(110, 50, marks=pytest.mark.study)],
)
def test_what_is_kept_after_each_epoch_is_found(epochs, leak):
    """Also in a process that keeps what it frees, whose resident set need not grow."""
    from performance_training import in_own_process

    grown = in_own_process(f"performance_training.growth_of_memory({epochs}, {leak}_000)", PYTHONMALLOC="malloc")
    assert grown == pytest.approx(leak, rel=0.3)


class Twin:
    """A checkout that takes so many seconds for a call."""

    def __init__(self, seconds, asked):
        self.seconds, self.asked = seconds, asked

    def ask(self, method, what=None, calls=1):
        if method == "run":
            self.asked.append(self)
            return calls * self.seconds
        return ["heat"] if method == "names" else ["a row"]

    def close(self):
        pass


@pytest.fixture
def pairs():
    import performance_pairs

    return performance_pairs


def test_two_checkouts_are_measured_in_turn(pairs):
    asked = []
    ours, other = Twin(0.02, asked), Twin(0.04, asked)
    row = pairs.compared([ours, other], "a row", 4)
    assert (row["median"], row["turns"]) == (0.5, 4)
    assert "same" not in row
    assert asked[4:] == [ours, other, other, ours, ours, other, other, ours]


def test_beside_two_checkouts_is_what_the_same_code_gives(pairs):
    asked = []
    ours, other, again = Twin(0.02, asked), Twin(0.04, asked), Twin(0.05, asked)
    row = pairs.compared([ours, other, again], "a row", 3)
    assert (row["median"], row["same"]) == (0.5, 1.25)
    assert asked[6:] == [ours, other, again, other, again, ours, again, ours, other]


def test_a_row_that_is_slower_is_measured_again_in_new_processes(pairs, monkeypatch):
    made = []

    def checkout(folder):
        made.append(folder)
        return Twin(1.2 if len(made) == 1 else 1.0, [])

    monkeypatch.setattr(pairs, "Checkout", checkout)
    monkeypatch.setattr(pairs, "groups", lambda names, **_: [("step_rows", [*names, 64]), ("epoch_row", [1])])
    rows = list(pairs.measured(pairs.HERE, [], "step", 3, 2, quick=True, compiled=False))
    assert [(row["group"], row["median"]) for row in rows] == [
        ("step_rows heat 64", 1.2),
        ("step_rows heat 64", 1.0),
        ("step_rows heat 64", 1.0),
    ]
    assert len(made) == 2 + 2 * 3
    assert "| a row | 1.20 | 1.20 to 1.20 | 1.00, 1.00 | 1.00 to 1.00 |" in pairs.table(rows)
    assert "0 of 1 rows are above 1.05" in pairs.table(rows)
    for known in (3, 2, 1):  # of a run that was interrupted
        assert (
            len(list(pairs.measured(pairs.HERE, rows[:known], "step", 3, 2, quick=True, compiled=False))) == 3 - known
        )


def test_what_is_measured_of_a_checkout_is_the_part_of_hyco(pairs, benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "ratio", benchmark.ratio)
    served = pairs.Served()
    (what,) = served.make("segments_row", [8, 12, 1])
    assert "in segments" in what
    assert served.run(what, 2) > 0
    assert "heat" in served.names()

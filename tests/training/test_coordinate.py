"""Training of a coordinate network: on the measured points where they are, and at ghost points on the physics."""

import json
from functools import cache

import pytest
import torch

from hyco.config import resolve_hybrid
from hyco.equations.registry import build_equation
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.metrics import nrmse_per_step
from hyco.networks.coordinate_model import cell_centres
from hyco.observations import ObservationConfig, observe
from hyco.runtime.storage import read_bundle, write_bundle
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.config import SyntheticConfig
from hyco.training.coordinate import CoordinateTrainer, Measured
from hyco.training.final import final_synthetic_model
from hyco.training.synthetic import synthetic_trainer, train_synthetic

CPU = torch.device("cpu")
HEAT = {
    "name": "heat",
    "domain": {"x": {"size": 3.0, "resolution": 12}, "y": {"size": 2.0, "resolution": 8}},
    "boundary": {"x": 0.0, "y": "periodic"},
    "dt": 0.1,
    "max_diffusivity": 0.4,
    "parameters": {"diffusivity": 0.1},
}
DARCY = {
    "name": "darcy",
    "domain": {"x": {"size": 2.0, "resolution": 10}, "y": {"size": 1.0, "resolution": 8}},
    "boundary": 0.0,
    "parameters": {"permeability": 0.5},
}
START = {"temperature": "sin(pi*x/3)*(1 + 0.5*cos(pi*y)) + 0.3*sin(2*pi*x/3)*sin(pi*y)"}
MOVING = {"mode": "moving", "count": 12, "path": {"x": "x0 + 0.2*t", "y": "y0 + 0.1*sin(t)"}}
SYNTHETIC = {
    "network": {"name": "mlp", "width": 24, "depth": 2},
    "epochs": 4,
    "learning_rate": 1e-2,
    "points_per_update": 40,
    "updates_per_epoch": 5,
    "ghost_points": 30,
}
PARAMETER = {"initial_guess": 0.3, "bounds": [0.01, 0.4]}
HYBRID = {
    "alpha": 0.7,
    "warmup_epochs": 1,
    "physical": {"max_iterations": 5, "suppress_convergence_errors": True},
}


@cache
def built(section):
    """Of equal sections there is one equation, whose step is recorded once."""
    return build_equation(json.loads(section))


class Problem:
    """One trajectory, seen three times with other noise."""

    def __init__(self, equation=HEAT, steps=6, start=None, **observation):
        self.steps = steps
        self.equation = built(json.dumps(equation))
        generation = GenerationConfig(simulations=3, steps=steps, initial_state=START if start is None else start)
        self.trajectories = generate(self.equation, generation, 0)
        keys = {"train_sim": [0], "val_sim": [1], "test_sim": [2], "noise": 0.01} | observation
        self.observations = observe(self.trajectories, ObservationConfig.model_validate(keys), 0)

    def config(self, **changes):
        return SyntheticConfig.model_validate(SYNTHETIC | {"num_predict_steps": self.steps} | changes)

    def trainer(self, **changes):
        keys = {"num_predict_steps": self.steps, "epochs": 4, "device": CPU}
        return synthetic_trainer(self.observations, self.config(**changes), 0, **keys)

    def train(self, **changes):
        return list(train_synthetic(self.observations, self.config(**changes), 0, configuration={}, device=CPU))

    def hybrid(self, name="diffusivity", synthetic=None, **changes):
        physical = {"learnable_parameters": [{"name": name, **PARAMETER}]}
        section = HYBRID | {"epochs": 4, "num_predict_steps": self.steps} | changes
        resolved = resolve_hybrid(section, SYNTHETIC | (synthetic or {}), physical)
        config = HybridConfig.model_validate(resolved)
        return HybridTrainer(self.equation, self.observations, config, 0, configuration={"seed": 0}, device=CPU)


@pytest.fixture(scope="module")
def heat():
    return Problem(space=MOVING)


@pytest.fixture(scope="module")
def darcy():
    return Problem(DARCY, 1, {}, space={"mode": "samples", "count": 40}, time={"mode": "custom", "indices": [1]})


def assert_equal_bundles(one, other):
    assert one.tensors.keys() == other.tensors.keys()
    for name in one.tensors:
        assert torch.equal(one.tensors[name], other.tensors[name]), name


def test_the_factory_takes_the_trainer_for_the_kind_of_network(heat):
    assert isinstance(heat.trainer(), CoordinateTrainer)
    assert not isinstance(heat.trainer(network={"name": "resnet", "filters": 4}), CoordinateTrainer)


def test_a_part_of_the_trajectory_is_refused(heat):
    with pytest.raises(ValueError, match="num_predict_steps is 3; a coordinate network predicts whole trajectories: 6"):
        synthetic_trainer(heat.observations, heat.config(), 0, num_predict_steps=3, epochs=1, device=CPU)


def test_measured_points_are_where_the_sensors_were_and_the_initial_state_is_data(heat):
    trainer = heat.trainer()
    seen, cells = heat.observations, 12 * 8
    measured = trainer.measured
    assert len(measured) == cells + int(seen.mask[0, 1:, 0].sum())
    # y is periodic, x has walls: inputs are x, sin y, cos y, t.
    assert measured.inputs.shape[1] == 4
    place, step = seen.positions[0, 4, 5], 4
    expected = [2 * place[0] / 3 - 1, (torch.pi * place[1]).sin(), (torch.pi * place[1]).cos(), 2 * step / 6 - 1]
    row = (measured.inputs - torch.tensor(expected).float()).abs().sum(1).argmin()
    torch.testing.assert_close(measured.inputs[row], torch.tensor(expected).float())
    mean, std = seen.statistics()
    torch.testing.assert_close(measured.values[row], ((seen.values[0, 4, :, 5] - mean) / std).float())


def test_grid_measurements_are_at_cell_centres():
    problem = Problem(space={"mode": "points", "count": 10}, time={"mode": "custom", "indices": [2, 5]})
    measured = problem.trainer().measured
    truth = problem.trajectories.tensors["trajectories"][0]
    assert len(measured) == 12 * 8 + 2 * 10
    cell = int(problem.observations.mask[0, 5, 0].flatten().nonzero()[3])
    centre = cell_centres(problem.observations.layout)[cell]
    late = measured.inputs[:, 3] == torch.tensor(2 * 5 / 6 - 1).float()
    row = ((measured.inputs[:, 0] - (2 * centre[0] / 3 - 1)).abs() < 1e-6) & late
    row &= (measured.inputs[:, 2] - (torch.pi * centre[1]).cos()).abs() < 1e-6
    values = problem.trainer().model.std * measured.values[row] + problem.trainer().model.mean
    noise = float(problem.observations.noise_std)
    assert (values[:, 0] - truth[5, 0].flatten()[cell]).abs().min() < 4 * noise


@pytest.mark.parametrize("initial", ["exact", "full", "observed"])
@pytest.mark.parametrize("space", [MOVING, {"mode": "points", "count": 20}])
def test_each_kind_of_initial_state_gives_its_points(space, initial):
    problem = Problem(space=space, initial_state=initial)
    trainer = problem.trainer()
    at_zero = int((trainer.measured.inputs[:, 3] == -1).sum())
    sensors = 12 if space is MOVING else 20
    assert at_zero == (sensors if initial == "observed" else 12 * 8)
    assert int(trainer.measured.mask.sum()) == len(trainer.measured)


def test_a_static_problem_has_no_initial_state(darcy):
    trainer = darcy.trainer()
    assert trainer.measured.inputs.shape == (40, 2)
    assert int(trainer.measured.mask.sum()) == 40


def test_the_loss_of_a_perfect_network_is_the_noise(heat):
    trainer = heat.trainer()
    clean = Problem(space=MOVING, noise=0.0)
    perfect = Measured.of(clean.observations, trainer.model).values
    trainer.model.at = lambda inputs: perfect[
        [int((trainer.measured.inputs == row).all(1).nonzero()) for row in inputs]
    ]
    samples = trainer.prepare(trainer.starts.fill(trainer.rollout))
    losses = [float(trainer.loss(samples, 1.0)) for _ in range(40)]
    # A third of the points are the initial state, which is exact.
    share = 1 - 96 / len(trainer.measured)
    assert sum(losses) / 40 == pytest.approx(share * 1e-4, rel=0.25)


def test_a_coordinate_network_overfits_its_points():
    problem = Problem(space={"mode": "points", "count": 6}, noise=0.0, val_sim=[])
    losses = [r["metrics"]["synthetic_loss"] for _, r in problem.train(epochs=30, updates_per_epoch=30)]
    assert losses[-1] < 2e-3 * losses[0]


def test_the_loss_weighs_real_data_and_ghost_points_as_defined(heat, monkeypatch):
    trainer = heat.trainer()
    starts = trainer.starts.fill(trainer.rollout)
    truth = heat.trajectories.tensors["trajectories"][:1, 1:]
    samples = trainer.prepare(starts, truth)
    zero = lambda inputs: torch.zeros(len(inputs), 1)  # noqa: E731
    monkeypatch.setattr(trainer.model, "at", zero)
    before = trainer.batches.state()
    window, time, cell = trainer.batches.ghosts()
    other = float(samples.physical[0].flatten(2)[time, 0, cell].square().mean())
    which = trainer.batches.measured()
    assert len(which.unique()) == 40
    real = float(trainer.measured.values[which].square().mean())
    for alpha in (0.0, 0.3, 1.0):
        trainer.batches.load(before)
        loss = float(trainer.loss(samples, alpha))
        assert loss == pytest.approx(alpha * real + (1 - alpha) * other, rel=1e-5)
    assert not window.any()


def test_with_alpha_zero_no_measurement_is_looked_at(heat):
    trainer = heat.trainer()
    trainer.measured.values.fill_(torch.nan)
    truth = heat.trajectories.tensors["trajectories"][:1, 1:]
    metrics = trainer.epoch(1, trainer.prepare(trainer.starts.fill(trainer.rollout), truth), 0.0)
    assert metrics["synthetic_skipped"] == 0


def test_no_update_waits_for_the_device(heat, on_device):
    trainer = heat.trainer()
    truth = heat.trajectories.tensors["trajectories"][:1, 1:]
    samples, measured = trainer.prepare(trainer.starts.fill(trainer.rollout), truth), trainer.measured
    there = [*trainer.model.parameters(), *trainer.model.buffers(), samples.starts, samples.physical]
    with on_device([*there, measured.inputs, measured.values, measured.mask]) as device:
        trainer.epoch(1, samples, 0.5)
    assert device.waits == 0


def test_ghost_points_teach_what_was_not_measured(heat):
    truth = heat.trajectories.tensors["trajectories"][:1]
    errors = []
    for teach in (False, True):
        trainer = heat.trainer(updates_per_epoch=50)
        samples = trainer.prepare(trainer.starts.fill(trainer.rollout), truth[:, 1:] if teach else None)
        for epoch in range(1, 5):
            trainer.epoch(epoch, samples, 0.5)
        per_step, _ = nrmse_per_step(trainer.rollout(truth[:, 0], 6), truth[:, 1:])
        errors.append(sum(per_step) / 6)
    assert errors[1] < 0.7 * errors[0]


def test_the_physics_is_held_against_the_network_at_ghost_points_alone(heat):
    trainer = heat.trainer()
    samples = trainer.prepare(trainer.starts.fill(trainer.rollout))
    targets, entries = trainer.targets(samples)
    predicted = trainer.rollout(heat.observations.initial_states[:1], 6)
    assert targets.shape == entries.shape == predicted.shape
    assert 15 < int(entries.sum()) <= 30
    assert entries[:, :, 0].flatten(1).any()
    torch.testing.assert_close(targets[entries], predicted[entries], rtol=1e-5, atol=1e-6)
    assert not targets[~entries].any()
    assert not torch.equal(entries, trainer.targets(samples)[1]), "other points each time"


def test_the_network_alone_learns_and_its_final_model_is_the_best_validated(heat):
    steps = heat.train(epochs=10, updates_per_epoch=40)
    scores = [record["metrics"]["validation_synthetic"] for _, record in steps]
    assert scores[-1] < 0.3 * scores[0]
    assert "validation_synthetic_one_step" not in steps[0][1]["metrics"], "it does not step states"
    final = final_synthetic_model(steps[-1][0])
    assert final.metadata["kind"] == "coordinate_model"
    assert final.metadata["epoch"] == 1 + min(range(10), key=scores.__getitem__)


def test_fully_observed_grids_are_validated_by_the_rollout_alone():
    steps = Problem().train(epochs=1, validation_rollout=False)
    found = {key for key in steps[0][1]["metrics"] if key.startswith("validation")}
    assert found == {"validation_synthetic", "validation_synthetic_rollout"}


def test_a_hybrid_finds_the_diffusivity_and_a_better_network(heat):
    records = [r["metrics"] for _, r in heat.hybrid(epochs=8, alpha=0.95, synthetic={"updates_per_epoch": 30}).train()]
    assert records[-1]["estimate.diffusivity"] == pytest.approx(0.1, rel=0.1)
    assert records[-1]["validation_synthetic"] < 0.3 * records[0]["validation_synthetic"]
    assert records[0]["physical_loss"] is None
    assert all(r["physical_loss"] is not None for r in records[1:])


def test_averaged_weights_predict_and_teach_the_physics(heat):
    trainer = heat.trainer(ema_decay=0.9)
    samples = trainer.prepare(trainer.starts.fill(trainer.rollout))
    trainer.epoch(1, samples)
    targets, entries = trainer.targets(samples)
    predicted = trainer.rollout(heat.observations.initial_states[:1], 6)
    torch.testing.assert_close(targets[entries], predicted[entries], rtol=1e-5, atol=1e-6)
    assert (trainer.model.rollout(heat.observations.initial_states[:1], 6) - predicted).abs().max() > 1e-3


def test_trust_is_weighed_with_a_coordinate_network_too(heat):
    records = [r["metrics"] for _, r in heat.hybrid(alpha="auto", epochs=4).train()]
    assert records[-1]["alpha"] < 0.5, "the physics is far more precise"
    assert records[-1]["alpha_physical"] == 1.0
    assert records[-1]["estimate.diffusivity"] == pytest.approx(0.1, rel=0.03)


def test_a_hybrid_of_a_static_problem_runs(darcy):
    records = [r["metrics"] for _, r in darcy.hybrid("permeability", alpha=0.9, epochs=6).train()]
    assert abs(records[-1]["estimate.permeability"] - 0.3) > 0.05, "it moved"
    assert all(torch.isfinite(torch.tensor(r["synthetic_loss"])) for r in records)


def test_alpha_one_is_the_network_alone_to_the_bit(heat):
    *_, (last, _) = heat.hybrid(alpha=1.0).train()
    *_, (alone, _) = heat.train()
    assert_equal_bundles(final_synthetic_model(last), final_synthetic_model(alone))


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_a_killed_hybrid_resumes_to_the_same_bits(heat, tmp_path, killed_after):
    whole = list(heat.hybrid().train())
    write_bundle(tmp_path / "last.safetensors", whole[killed_after - 1][0])
    resumed = list(heat.hybrid().train(read_bundle(tmp_path / "last.safetensors"), resume=True))
    assert_equal_bundles(resumed[-1][0], whole[-1][0])
    assert [r for _, r in resumed] == [r for _, r in whole[killed_after - 1 :]]


def test_the_same_seed_gives_the_same_network_and_another_seed_another(heat):
    def weights(seed):
        *_, (last, _) = train_synthetic(heat.observations, heat.config(epochs=2), seed, configuration={}, device=CPU)
        return torch.cat([v.flatten() for k, v in last.tensors.items() if "/weights/network" in k])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))

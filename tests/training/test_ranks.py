"""Processes that train a network together: the numbers of one, an epoch begun anew by any number of them."""

import socket
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.multiprocessing as multiprocessing

from hyco.equations.registry import build_equation
from hyco.observations import ObservationConfig, observe
from hyco.runtime.storage import from_bytes, read_bundle, serialised, write_bundle
from hyco.runtime.torchrun import launched
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.config import SyntheticConfig
from hyco.training.helping import help_rank_0
from hyco.training.ranks import Ranks, RanksError, joined
from hyco.training.synthetic import synthetic_trainer, train_synthetic

EQUATION = {
    "name": "heat",
    "domain": {"x": {"size": 4.0, "resolution": 16}},
    "dt": 0.05,
    "parameters": {"diffusivity": 0.1},
}
# 15 windows in updates of 4, the last of 3: no update divides by two but in the first three.
NETWORK = {"network": {"name": "resnet", "filters": 4, "blocks": 1}, "epochs": 2, "num_predict_steps": 2}
NETWORK |= {"batch_size": 4, "ema_decay": 0.9, "curriculum": {"start": 1, "epochs": 2}}
CPU = torch.device("cpu")


def data(**keys):
    config = GenerationConfig(simulations=6, steps=6, length_scale=0.8, execution="plain")
    seen = ObservationConfig.model_validate({"train_sim": [0, 1, 2, 3, 4], "val_sim": [5], "noise": 0.01, **keys})
    return observe(generate(build_equation(EQUATION), config, 3), seen, 3)


# Of some cells, so that the parts of an update have different numbers of measurements.
SPARSE = {"space": {"mode": "points", "count": 7}, "time": {"mode": "custom", "indices": [0, 1, 2, 4, 6]}}


def trained(observations, epochs=2, **options):
    """The last checkpoint of a training of the network alone."""
    config = SyntheticConfig.model_validate({**NETWORK, "epochs": epochs})
    return [*train_synthetic(observations, config, 3, configuration={}, device=CPU, **options)][-1][0]


def coupled(observations):
    """State after an epoch with the predictions of another model, and fresh trajectories of two lengths."""
    states = {}
    # In updates of seven the last has one window: other processes have none of it.
    for name, length, batch in (("shorter", 1, 4), ("as long", 2, 4), ("few windows", 2, 7)):
        config = SyntheticConfig.model_validate({**NETWORK, "batch_size": batch})
        trainer = synthetic_trainer(
            observations, config, 3, num_predict_steps=2, epochs=2, device=CPU, fresh_batch=3, fresh_length=length
        )
        starts = trainer.window_starts(trainer.rollout, real_alone=False)
        physical = 0.9 * starts[:, None].expand(-1, 2, -1, -1)
        samples = trainer.prepare(starts, physical)
        fresh = torch.randn((5, 5, 1, 16), generator=torch.Generator().manual_seed(1))
        trainer.epoch(2, replace(samples, fresh=fresh), 0.3)
        states |= {f"{name}/{key}": value for key, value in trainer.optimisation.state().items()}
    return states


def together(rank, size, port, folder, half):
    """What each process does."""
    import os

    for key, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}.items():
        os.environ[key] = str(value)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "test"}
    torch.set_num_threads(1)
    assert launched() > 1
    with joined() as ranks:
        if not ranks.leads:
            help_rank_0(ranks)
            return
        for name, keys in (("full", {}), ("sparse", SPARSE)):
            write_bundle(folder / f"{name}.safetensors", trained(data(**keys)))
        write_bundle(folder / "resumed.safetensors", trained(data(), checkpoint=read_bundle(half), resume=True))
        write_bundle(folder / "coupled.safetensors", replace(read_bundle(half), tensors=coupled(data(**SPARSE))))
        with pytest.raises(RanksError, match="input_noise"):
            synthetic_trainer(
                data(),
                SyntheticConfig.model_validate({**NETWORK, "input_noise": 0.1}),
                3,
                num_predict_steps=2,
                epochs=2,
                device=CPU,
            )


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, other[name], rtol=0, atol=1e-6, msg=name)
        else:
            assert torch.equal(value, other[name]), name


@pytest.mark.slow
def test_three_processes_train_as_one_does(tmp_path):
    half = tmp_path / "half.safetensors"
    config = SyntheticConfig.model_validate(NETWORK)
    write_bundle(half, next(train_synthetic(data(), config, 3, configuration={}, device=CPU))[0])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(together, (3, port, tmp_path, half), nprocs=3)
    for name, keys in (("full", {}), ("sparse", SPARSE), ("resumed", {})):
        expected = trained(data(**keys))
        found = read_bundle(tmp_path / f"{name}.safetensors")
        same(found.tensors, expected.tensors)
        loss = "synthetic_loss"
        assert found.metadata["metrics"][loss] == pytest.approx(expected.metadata["metrics"][loss], rel=1e-6)
    same(read_bundle(tmp_path / "coupled.safetensors").tensors, coupled(data(**SPARSE)))


def test_parts_of_a_batch_are_all_of_it_and_as_even_as_can_be():
    rows = torch.arange(7)
    parts = [Ranks(rank, 3).own(rows) for rank in range(3)]
    assert [len(part) for part in parts] == [3, 2, 2]
    assert torch.equal(torch.cat(parts), rows)
    assert [len(Ranks(rank, 3).own(rows[:2])) for rank in range(3)] == [1, 1, 0]


def test_weights_that_are_not_trained_do_not_decay():
    config = SyntheticConfig.model_validate({**NETWORK, "weight_decay": 0.5})
    optimisation = synthetic_trainer(data(), config, 3, num_predict_steps=2, epochs=2, device=CPU).optimisation
    optimisation.ranks = SimpleNamespace(add_up=lambda _: None, agreed=lambda facts: facts)
    frozen, trained, *_ = optimisation.optimizer.weights
    frozen.requires_grad_(False)
    before = frozen.clone(), trained.detach().clone()
    optimisation.epoch(1, (trained.square().sum() for _ in range(2)))
    assert torch.equal(frozen, before[0])
    assert not torch.equal(trained, before[1])


def test_what_is_sent_arrives():
    bundle = replace(trained(data(), epochs=1), metadata={"order": "epoch"})
    found = from_bytes(serialised(bundle))
    assert found.metadata == bundle.metadata
    assert all(torch.equal(value, found.tensors[name]) for name, value in bundle.tensors.items())


def test_a_process_alone_joins_none(monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert launched() == 1
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launched() == 1

"""What is probably not meant is said by the front door, too."""

from dataclasses import replace

import torch

import hyco

HEAT = {
    "name": "heat",
    "domain": {"x": {"size": 1.0, "resolution": 24}},
    "dt": 0.1,
    # With its second-order scheme the grid's error would be larger than the noise's.
    "form": "nondivergence",
    "order": 4,
    "parameters": {"diffusivity": 0.02},
}
LEARN = [{"name": "diffusivity", "initial_guess": 0.05, "bounds": [0.001, 0.1]}]


def observed():
    trajectories = hyco.simulate(hyco.equation(HEAT), simulations=1, steps=6, length_scale=0.2)
    return hyco.observe(trajectories, {"train_sim": [0], "noise": 0.01})


def test_zeros_for_missing_values_and_the_misfit_that_they_bring_are_told(caplog):
    seen = observed()
    lost = torch.rand(seen.values.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    hyco.fit(hyco.equation(HEAT), replace(seen, values=torch.where(lost, 0.0, seen.values)), LEARN)
    assert "values are exactly 0" in caplog.text
    assert "times the noise" in caplog.text


def test_sound_data_bring_no_warning(caplog):
    hyco.fit(hyco.equation(HEAT), observed(), LEARN)
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


def test_under_torchrun_each_program_trains_by_itself_and_the_first_says_so(caplog, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    words = "torchrun has started this program 2 times, and each trains by itself"
    seen = observed()
    hyco.fit(hyco.equation(HEAT), seen, LEARN)
    assert words not in caplog.text
    monkeypatch.setenv("RANK", "0")
    hyco.fit(hyco.equation(HEAT), seen, LEARN)
    assert words in caplog.text

"""Keys that nothing reads are named, with what they need; those of the project's experiments are all read."""

from pathlib import Path

import pytest

from hyco.config import parse, warn_without_effect
from hyco.config.errors import dotted
from hyco.config.idle import keys_without_effect
from hyco.training.validation import ValidationConfig

CONF = Path(__file__).parents[2] / "conf"
EXPERIMENTS = sorted(p.parent.name for p in CONF.glob("*/parameters.yml") if p.parent.name != "base")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_projects_experiments_give_no_key_in_vain(experiment, parameters):
    assert keys_without_effect(parse(parameters(experiment))) == []


@pytest.mark.parametrize(
    ("changes", "key", "needed"),
    [
        (
            {"synthetic": {"updates_per_epoch": 20}},
            "synthetic.updates_per_epoch",
            "networks of coordinates, such as mlp",
        ),
        ({"hybrid": {"synthetic": {"ghost_points": 9}}}, "hybrid.synthetic.ghost_points", "networks of coordinates"),
        ({"synthetic": {"scheduler": {"decay": 0.9}}}, "synthetic.scheduler.decay", "name: exponential or step"),
        ({"synthetic": {"scheduler": {"name": "step", "final": 0.1}}}, "synthetic.scheduler.final", "name: cosine"),
        (
            {"hybrid": {"interaction": {"count": 0, "steps": 20}}},
            "hybrid.interaction.steps",
            "hybrid.interaction.count above 0",
        ),
        (
            {"hybrid": {"alpha": 0.9, "interaction": {"steps": 20}}},
            "hybrid.interaction.steps",
            "hybrid.interaction.count above 0, or hybrid.alpha: auto",
        ),
        (
            {"hybrid": {"alpha": 0.9, "interaction": {"batch_size": 20}}},
            "hybrid.interaction.batch_size",
            "hybrid.interaction.count above 0, or hybrid.alpha: auto",
        ),
        (
            {"hybrid": {"interaction": {"count": 4, "amplitude": 1.0}}},
            "hybrid.interaction.amplitude",
            "source: distribution",
        ),
    ],
)
def test_a_key_without_effect_is_named_once_with_what_it_needs(changes, key, needed, parameters, sources, caplog):
    given = sources() | {"--params": changes}
    assert [dotted(path) for path, _ in keys_without_effect(parse(parameters(**changes)), given)] == [key]
    warn_without_effect(parameters(**changes), given)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"--params: {key} has no effect: it ")
    assert needed in caplog.messages[0]


def test_what_an_experiment_has_for_its_own_alpha_is_not_named_with_another_one(parameters, sources, caplog):
    changes = {"hybrid": {"alpha": 0.9}}
    warn_without_effect(parameters(**changes), sources() | {"--params": changes})
    assert caplog.messages == []


def test_a_key_that_the_hybrids_network_reads_has_an_effect(parameters):
    mlp = {"network": {"name": "mlp"}, "use_sliding_window": False}
    changes = {"synthetic": {"updates_per_epoch": 20}, "hybrid": {"synthetic": mlp, "num_predict_steps": 40}}
    starts = {"generation": {"initial_state": {"velocity_x": "sin(x)"}}}
    assert keys_without_effect(parse(parameters(**changes, **starts))) == []


@pytest.mark.parametrize(
    ("keys", "every"),
    [
        ({}, None),
        ({"save_interval": 4}, 4),
        ({"save_interval": 4, "save_best_only": True}, 4),
        ({"save_best_only": False}, 10),
        ({"save_interval": 4, "save_best_only": False}, 4),
    ],
)
def test_checkpoints_are_kept_as_often_as_was_asked_for(keys, every):
    assert ValidationConfig(**keys).kept_every == every

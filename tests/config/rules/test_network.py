"""What a network demands of a training."""

import pytest

from hyco.config import ConfigurationError, parse
from hyco.sections import merge

MLP = {"synthetic": {"network": {"name": "mlp"}}}
WHOLE = {"synthetic": {**MLP["synthetic"], "num_predict_steps": 40}, "hybrid": {"num_predict_steps": 40}}
ONE_START = {"generation": {"initial_state": {"velocity_x": "sin(x)"}}}


def test_a_coordinate_network_is_for_a_single_trajectory_as_a_whole(parameters, problems):
    lines = problems(**WHOLE)
    assert lines == [
        "--params: synthetic.network.name: mlp maps (x, t) to one trajectory, but the simulations start from random "
        "states: give velocity_x in generation.initial_state, or use a network that steps states"
    ]
    lines = problems(**ONE_START, **MLP)
    assert [line.split(": ", 1)[1] for line in lines] == [
        f"{section}.num_predict_steps: 5 is a part of the trajectory, of which mlp predicts all: set it to "
        "generation.steps = 40"
        for section in ("synthetic", "hybrid")
    ]
    assert parse(parameters(**ONE_START, **WHOLE)).synthetic.network["width"] == 64


def test_keys_of_stepping_networks_mean_nothing_to_a_coordinate_network(problems):
    changes = merge(WHOLE, {"synthetic": {"input_noise": 0.1}, "hybrid": {"interaction": {"count": 8}}})
    lines = [line.split(": ", 1)[1] for line in problems(**ONE_START, **changes)]
    assert lines == [
        "synthetic.input_noise: is for networks that step states, not for mlp; allowed: 0.0",
        "hybrid.interaction.count: 8 fresh starts are for networks that step states; allowed: 0 (see ghost_points)",
    ]


def test_a_coordinate_network_is_for_centred_fields_and_static_problems_need_no_start(parameters):
    with pytest.raises(ConfigurationError, match="mlp is for centred fields; smoke has staggered ones"):
        parse(parameters("smoke", **MLP))
    assert parse(parameters("darcy", **MLP)).hybrid.synthetic.network["name"] == "mlp"


FEW = {"network": {"name": "pseudospectral"}, "optimizer": "levenberg_marquardt"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"synthetic": {"optimizer": "levenberg_marquardt"}},
            "optimizer: levenberg_marquardt trains networks of few weights: pseudospectral; resnet takes adam",
        ),
        (
            {"synthetic": FEW | {"input_noise": 0.1}},
            "input_noise: levenberg_marquardt needs the same errors each time: set it to 0, or take adam",
        ),
        (
            {"synthetic": FEW | {"weight_decay": 0.1}},
            "weight_decay: levenberg_marquardt knows none: set it to 0, or take adam",
        ),
        (
            {"synthetic": FEW | {"backpropagation_steps": 1}},
            "backpropagation_steps: levenberg_marquardt needs whole derivatives: set it to null, or take adam",
        ),
        (
            {"synthetic": FEW | {"precision": "bfloat16"}},
            "precision: levenberg_marquardt needs float32: take it, or adam",
        ),
        (
            {"synthetic": FEW, "hybrid": {"strategy": "auto"}},
            "optimizer: levenberg_marquardt trains no network that corrects a physical step: take adam",
        ),
    ],
)
def test_levenberg_marquardt_is_for_few_weights_that_see_the_same_errors(changes, expected, problems):
    assert expected in {line.partition("synthetic.")[2] for line in problems(**changes)}


def test_a_pseudospectral_network_is_for_periodic_domains(parameters):
    text = "synthetic.network.name: pseudospectral needs periodic axes, these are dirichlet-neumann, periodic: take fno"
    with pytest.raises(ConfigurationError, match=text):
        parse(parameters("heat", synthetic=FEW))


def test_levenberg_marquardt_trains_a_pseudospectral_network(parameters):
    assert parse(parameters(synthetic=FEW)).hybrid.synthetic.optimizer == "levenberg_marquardt"

"""A network in a file of the user's: the one that docs/method.md shows, and wrong ones."""

import pytest
import torch

from hyco.config import ConfigurationError, parse
from hyco.networks.models import model_from_bundle
from hyco.pipelines.hybrid.nodes import finalise_hybrid_models
from hyco.runtime.storage import read_bundle, write_bundle

STENCIL = {"network": {"name": "my_network:Stencil", "width": 4}}


def test_the_example_of_the_documentation_is_short(write_example):
    code = write_example("method.md", "my_network")
    assert len([line for line in code.splitlines() if line.strip()]) <= 30


def test_its_keys_are_checked_like_those_of_any_network(write_example, complete):
    write_example("method.md", "my_network")
    assert parse(complete(synthetic=STENCIL)).synthetic.network == STENCIL["network"] | {"coordinates": False}
    for changes, line in (
        ({"depth": 3}, r"synthetic\.network\.depth: unknown key \(value 3\)"),
        ({"width": 0}, r"synthetic\.network\.width: 0: input should be greater than 0"),
    ):
        with pytest.raises(ConfigurationError, match=line):
            parse(complete(synthetic={"network": STENCIL["network"] | changes}))


@pytest.mark.slow
def test_it_trains_in_a_hybrid_which_goes_on_and_is_read_back(write_example, complete, run_nodes, tmp_path):
    write_example("method.md", "my_network")
    sections = complete(synthetic=STENCIL)
    parse(sections)
    nodes = run_nodes(sections)
    estimate = nodes.physical()["parameters"]["viscosity"]
    assert abs(estimate["estimate"] - 0.1) < 4 * estimate["std"]
    checkpoints = nodes.hybrid()
    write_bundle(tmp_path / "checkpoint.safetensors", checkpoints[3])
    (*_, last) = nodes.hybrid(read_bundle(tmp_path / "checkpoint.safetensors"))
    for name, tensor in checkpoints[-1].tensors.items():
        assert torch.equal(last.tensors[name], tensor), name
    methods = nodes.report(last)
    assert methods["hybrid_synthetic"]["nrmse"]["mean"] < methods["persistence"]["nrmse"]["mean"]

    write_bundle(tmp_path / "model.safetensors", finalise_hybrid_models(last)[0])
    bundle = read_bundle(tmp_path / "model.safetensors")
    states = nodes.trajectories.tensors["trajectories"][:, 0]
    model = model_from_bundle(bundle)
    assert type(model.network).__name__ == "Stencil"
    assert model.rollout(states, 3).isfinite().all()
    write_example.forget("my_network")
    with pytest.raises(ValueError, match=r"network 'my_network:Stencil': there is no module 'my_network'"):
        model_from_bundle(bundle)


HEAD = """
from torch import nn
from hyco.networks.network import NetworkConfig
class Config(NetworkConfig):
    width: int = 3
"""
WRONG = {
    "is no module": ("class Mine: pass\n", "Mine is no subclass of torch.nn.modules.module.Module"),
    "has no keys": (
        HEAD + "class Mine(nn.Module): pass\n",
        "Mine has no config_class: a subclass of hyco.networks.network.NetworkConfig with its keys",
    ),
    "has other keys": (
        HEAD + "class Mine(nn.Module):\n    config_class = dict\n",
        "the config_class of Mine is <class 'dict'>, not a subclass of hyco.networks.network.NetworkConfig with its "
        "keys",
    ),
    "is made otherwise": (
        HEAD + "class Mine(nn.Module):\n    config_class = Config\n    def __init__(self, config): pass\n",
        "Mine is made as Mine(config, in_channels, out_channels, boundaries)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_class_that_cannot_be_used_is_refused_with_the_reason(write_module, complete, case):
    code, reason = WRONG[case]
    module = "wrong_network_" + case.replace(" ", "_")
    write_module(module, code)
    with pytest.raises(ConfigurationError) as caught:
        parse(complete(synthetic={"network": {"name": f"{module}:Mine"}}))
    (line,) = str(caught.value).splitlines()
    assert line == f"synthetic.network: network '{module}:Mine': {reason}"


COORDINATES = """
from hyco.networks.coordinate_config import CoordinateConfig
from hyco.networks.mlp import MLP
class Own(CoordinateConfig):
    width: int = 8
class Mine(MLP):
    config_class = Own
"""


def test_a_network_of_the_coordinates_is_held_to_a_whole_trajectory(write_module, complete):
    write_module("my_coordinates", COORDINATES)
    with pytest.raises(ConfigurationError, match=r"my_coordinates:Mine maps \(x, t\) to one trajectory"):
        parse(complete(synthetic={"network": {"name": "my_coordinates:Mine"}}))

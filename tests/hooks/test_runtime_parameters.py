"""The command line changes entries of lists, and makes another kind of a section."""

from types import SimpleNamespace

import pytest
from kedro.config import OmegaConfigLoader

from hyco.config import ConfigurationError
from hyco.hooks.runtime_parameters import with_runtime_parameters

FILE = """
physical:
  learnable_parameters:
    - {name: viscosity, initial_guess: 0.5, bounds: [0.005, 1.0]}
    - {name: convection, initial_guess: 1.0}
observation:
  noise: 0.1
  time: {mode: custom, indices: [0, 5]}
synthetic:
  network: {name: resnet, filters: 24}
"""


@pytest.fixture
def load(tmp_path):
    for env in ("base", "mine"):
        (tmp_path / env).mkdir()
    (tmp_path / "mine" / "parameters.yml").write_text(FILE)

    def function(given):
        merge = {"merge_strategy": {"parameters": "soft"}}
        loader = OmegaConfigLoader(str(tmp_path), "mine", given, base_env="base", default_run_env="mine", **merge)
        parameters = with_runtime_parameters(loader)
        assert loader.runtime_params == given
        return parameters

    return function


def test_an_entry_of_a_list_is_changed_by_its_number(load):
    changed = load({"physical": {"learnable_parameters": {"1": {"initial_guess": 2.0}, "0": {"bounds": {"1": 3.0}}}}})
    first, second = changed["physical"]["learnable_parameters"]
    assert first == {"name": "viscosity", "initial_guess": 0.5, "bounds": [0.005, 3.0]}
    assert second == {"name": "convection", "initial_guess": 2.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"physical": {"learnable_parameters": {"2": {"name": "u"}}}},
            r"physical\.learnable_parameters\.2: there is no such entry; there are 0 to 1",
        ),
        (
            {"physical": {"learnable_parameters": {"-1": {"initial_guess": 2.0}}}},
            r"^--params physical\.learnable_parameters\.-1: there is no such entry; there are 0 to 1$",
        ),
        ({"a": {"b": ["${oc.env:HOME}"]}}, r"^--params a\.b: variables of the environment .* write the value$"),
        ({"observation": {"time": {"-3": 1}}}, r"observation\.time\.-3: observation\.time is no list"),
        ({"observation": {"time": {"3": 1}}}, r"observation\.time\.3: observation\.time is no list"),
        ({"observation": {"noise": {"0": 1}}}, r"observation\.noise\.0: observation\.noise is a value"),
    ],
)
def test_an_entry_that_is_not_there_is_named(load, given, message):
    with pytest.raises(ConfigurationError, match=message):
        load(given)


def test_a_section_of_another_kind_replaces_that_of_the_file(load):
    changed = load({"observation": {"time": {"mode": "full"}}, "synthetic": {"network": {"name": "unet"}}})
    assert changed["observation"] == {"noise": 0.1, "time": {"mode": "full"}}
    assert changed["synthetic"]["network"] == {"name": "unet"}


def test_a_section_of_the_same_kind_is_laid_over_that_of_the_file(load):
    changed = load({"observation": {"time": {"mode": "custom"}}, "synthetic": {"network": {"filters": 8}}})
    assert changed["observation"]["time"] == {"mode": "custom", "indices": [0, 5]}
    assert changed["synthetic"]["network"] == {"name": "resnet", "filters": 8}


def test_without_a_command_line_the_files_are_as_they_are(load):
    assert load({})["observation"]["time"] == {"mode": "custom", "indices": [0, 5]}
    assert SimpleNamespace(**load({"seed": 3})).seed == 3

"""The parameters of an experiment with changes, and the lines that a wrong configuration is refused with."""

from pathlib import Path

import pytest
import yaml

from hyco.config import ConfigurationError, check
from hyco.sections import merge

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(name="sources")
def _sources():
    """The content of the files of an experiment, by name."""
    return sources


@pytest.fixture(name="parameters")
def _parameters():
    """All parameters of an experiment, with changes."""
    return parameters


@pytest.fixture(name="problems")
def _problems():
    """The lines that the default experiment with changes, as of the command line, is refused with."""
    return problems


def sources(experiment="burgers_1d"):
    files = [*sorted((CONF / "base").glob("parameters*.yml")), CONF / experiment / "parameters.yml"]
    return {str(f.relative_to(CONF.parent)): yaml.safe_load(f.read_text()) for f in files}


def parameters(environment="burgers_1d", **changes):
    merged = {}
    for content in sources(environment).values():
        merged = merge(merged, content)
    return merge(merged, {"experiment": environment} | changes)


def problems(**changes):
    with pytest.raises(ConfigurationError) as caught:
        check(parameters(**changes), sources() | {"--params": changes})
    return str(caught.value).splitlines()

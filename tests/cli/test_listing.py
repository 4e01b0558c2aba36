"""`hyco list`: equations, networks, experiments."""

import json

import pytest

from hyco.equations.registry import EQUATIONS
from hyco.networks.network import NETWORKS


def test_every_equation_has_a_sentence_and_its_parameters(hyco):
    shown = hyco("list", "equations").output
    entries = {e["name"]: e for e in json.loads(hyco("list", "equations", "--json").output)}
    assert set(entries) == set(EQUATIONS.built_in)
    assert entries["burgers"]["parameters"] == ["viscosity", "convection"]
    assert entries["burgers"]["keys"] == ["max_speed", "max_convection", "scheme"]
    for name, entry in entries.items():
        assert entry["summary"]
        assert f"{name}\n  {entry['summary'][:60]}" in shown


def test_every_network_has_a_sentence_and_its_keys(hyco):
    entries = {e["name"]: e for e in json.loads(hyco("list", "networks", "--json").output)}
    assert set(entries) == set(NETWORKS.built_in)
    assert "filters" in entries["resnet"]["keys"]
    assert "Fourier neural operator" in entries["fno"]["summary"]


def test_experiments_are_told_by_their_first_comment(project, hyco):
    folder = project / "conf" / "mine"
    folder.mkdir()
    (folder / "parameters.yml").write_text("# Waves in a tank. With more to say.\nmeasurements: {file: mine.csv}\n")
    wrong = project / "conf" / "wrong"
    wrong.mkdir()
    (wrong / "parameters.yml").write_text("a: [1\n")
    entries = {e["name"]: e for e in json.loads(hyco("list", "experiments", "--json").output)}
    assert list(entries) == ["heat", "mine", "wrong"]
    assert entries["mine"] == {"name": "mine", "summary": "Waves in a tank", "measured": True}
    assert entries["heat"]["measured"] is False
    assert entries["wrong"]["summary"].startswith("cannot be read: ")
    assert "mine (measured)\n  Waves in a tank\n" in hyco("list", "experiments").output


@pytest.mark.parametrize("arguments", [("list",), ("list", "planets")])
def test_what_cannot_be_listed_is_said(arguments, hyco):
    done = hyco(*arguments)
    assert done.exit_code == 2
    assert "equations" in done.output


def test_outside_of_a_project_the_command_says_so(tmp_path, monkeypatch, hyco):
    monkeypatch.chdir(tmp_path)
    done = hyco("list", "experiments")
    assert done.exit_code == 1
    assert "start the command in its folder" in done.output

"""Every study says what it takes."""

import runpy
import sys
from pathlib import Path

import pytest

PARSED = ("ArgumentParser", "command_line(")
STUDIES = [
    path
    for path in sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))
    if "__main__" in (text := path.read_text(encoding="utf-8")) and any(word in text for word in PARSED)
]


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_the_options_of_a_study_are_listed(study, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [study.name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(study), run_name="__main__")
    assert ended.value.code == 0
    assert "options:" in capsys.readouterr().out

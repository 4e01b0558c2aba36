"""What docs/own_equation.md says is done as it stands there."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from hyco.sections import merge

PAGE = (Path(__file__).parents[2] / "docs" / "own_equation.md").read_text(encoding="utf-8")
FORMULAS = [cells for line in PAGE.splitlines() if (cells := re.findall(r'`(\w+): "([^"]+)"`', line))]


def block(title):
    """A block of YAML, by its first line."""
    (text,) = re.findall(rf"```yaml\n# {re.escape(title)}\n(.*?)```", PAGE, re.DOTALL)
    return text


def readings(noise=0.0037):
    """Ten readings of the rod at t = 1, for C = 1."""
    x = np.linspace(-1, 1, 10)
    u = np.exp(-1) * np.sin(np.pi * x) + noise * np.random.default_rng(1).standard_normal(10)
    return pd.DataFrame({"t": 1.0, "x": x, "u": u})


def report_of(project, name):
    return json.loads((project / "data" / "08_reporting" / name / "report.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_rod_is_one_file(project, hyco):
    (project / "conf" / "rod").mkdir()
    (project / "conf" / "rod" / "parameters.yml").write_text(block("conf/rod/parameters.yml"), encoding="utf-8")
    (project / "conf" / "rod" / "globals.yml").write_text("experiment: rod\n", encoding="utf-8")
    readings().to_csv(project / "data" / "01_raw" / "rod.csv", index=False)
    done = hyco("--pipelines", "physical", "--env", "rod")
    assert done.exit_code == 0, (done.output, done.exception)
    low, high = report_of(project, "rod")["methods"]["physical"]["parameters"]["C"]["interval"]
    assert low < 1 < high


@pytest.fixture
def cells(project, hyco, made_cells):
    """The first command of the page, on a file of its own."""
    made_cells.to_csv(project / "data" / "01_raw" / "cells.csv", index=False)
    (first,) = re.findall(r"^hyco new .*$", PAGE, re.MULTILINE)
    done = hyco(*shlex.split(first)[1:])
    assert done.exit_code == 0, done.output
    return project


@pytest.fixture
def made_cells():
    """A population by a formula of its own, as the page's file has it."""
    x, t = np.meshgrid((np.arange(24) + 0.5) / 2, np.linspace(0, 5, 11))
    u = 2 / (1 + np.exp((x - 4 - t) / 1.5)) + 0.02 * np.random.default_rng(0).standard_normal(x.shape)
    return pd.DataFrame({"time": t.ravel(), "x": x.ravel(), "u": np.abs(u).ravel()})


def test_the_command_writes_what_check_understands(cells, hyco):
    sections = yaml.safe_load((cells / "conf" / "cells" / "parameters.yml").read_text(encoding="utf-8"))
    assert sections["measurements"]["fields"] == {"u": "u"}
    done = hyco("check", "--env", "cells")
    assert done.exit_code == 0, done.output
    assert "formula:   ∂u/∂t = D*laplace(u) + r*u*(1 - u/K)" in done.output


@pytest.mark.slow
def test_another_formula_for_the_physical_model_is_laid_over(cells, hyco):
    path = cells / "conf" / "cells" / "parameters.yml"
    sections = merge(
        yaml.safe_load(path.read_text(encoding="utf-8")), yaml.safe_load(block("over conf/cells/parameters.yml"))
    )
    path.write_text(yaml.safe_dump(sections), encoding="utf-8")
    done = hyco("check", "--env", "cells")
    assert done.exit_code == 0, done.output
    assert "physics:   formula ∂u/∂t = div(D*(max(u, 1.0e-9)/K)**m*grad(u)) + r*u*(1 - u/K)" in done.output
    assert "unknown:   m, 0 to 2, first guess 1" in done.output


def test_a_function_is_an_equation_by_formula(tmp_path, monkeypatch):
    import hyco as front

    (script,) = re.findall(r"```python\n# my_rates.py\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_rates.py").write_text(script, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_rates", raising=False)
    section = yaml.safe_load(block("conf/function/parameters.yml"))["equation"]
    equation = front.equation(section)
    assert equation.config.rates == {"u": "r*u*(1 - u/K) + div(D*grad(u))"}


@pytest.mark.parametrize("rates", FORMULAS, ids=lambda rates: rates[0][1][:20])
def test_every_formula_of_the_page_is_an_equation(rates):
    import hyco as front

    names = {n for _, text in rates for n in re.findall(r"[A-Za-z_]\w*", text)}
    words = {"laplace", "div", "grad", "dx", "max", "x", "e", *(field for field, _ in rates)}
    front.equation(
        {
            "name": "formula",
            "domain": {"x": {"size": 1.0, "resolution": 16}},
            "boundary": "periodic",
            "dt": 0.01,
            "rates": dict(rates),
            "parameters": dict.fromkeys(sorted(names - words - {"0e"}), 0.5),
        }
    )


def test_the_page_has_nine_formulas():
    assert len(FORMULAS) == 9

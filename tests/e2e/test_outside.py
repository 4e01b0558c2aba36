"""An equation and a network in files of the project's folder, run by the command `kedro` as it is installed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DOCS = Path(__file__).parents[2] / "docs"
PARAMETERS = """
experiment: ${globals:experiment}
threads: 1
generation: {simulations: 4, steps: 8, amplitude: 0.3}
observation: {train_sim: [0, 1], val_sim: [2], test_sim: [3], noise: 0.01}
synthetic: {network: {name: "my_network:Stencil", width: 4}, epochs: 2, num_predict_steps: 4}
physical: {learnable_parameters: [{name: D, initial_guess: 0.5, bounds: [0.01, 1.0]}], num_predict_steps: 8}
hybrid: {epochs: 3, warmup_epochs: 1, num_predict_steps: 4, alpha: auto}
"""


@pytest.fixture(scope="module")
def fisher(project):
    """The project with an experiment on the files that the documentation shows."""
    folder = project.path / "conf" / "fisher"
    folder.mkdir()
    (folder / "globals.yml").write_text("experiment: fisher\n")
    page = (DOCS / "equations.md").read_text()
    section = re.search(r"```yaml\n(equation:\n  name: my_equation.*?)```", page, re.DOTALL)[1]
    assert yaml.safe_load(section)["equation"]["name"] == "my_equation:FisherKPP"
    (folder / "parameters.yml").write_text(PARAMETERS + section)
    for page, name in (("equations.md", "my_equation"), ("method.md", "my_network")):
        code = re.search(rf"```python\n(# {name}\.py\n.*?)```", (DOCS / page).read_text(), re.DOTALL)[1]
        (project.path / f"{name}.py").write_text(code)
    return project


def kedro(project, *arguments):
    return subprocess.run(
        [Path(sys.executable).parent / "kedro", "run", "--env", "fisher", *arguments],
        cwd=project.path,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_all_pipelines_run_on_them(fisher):
    done = kedro(fisher)
    assert done.returncode == 0, done.stderr
    report = fisher.report("fisher")
    assert report["equation"] == "my_equation:FisherKPP"
    assert set(report["methods"]) == {"persistence", "synthetic", "physical", "hybrid_synthetic", "hybrid_physical"}
    estimate = report["methods"]["physical"]["parameters"]["D"]
    assert abs(estimate["estimate"] - 0.2) < 4 * estimate["std"]


def test_a_comparison_in_several_processes_finds_them_too(fisher):
    options = "compare.seeds=0-1,compare.methods=persistence+physical,compute.workers=2"
    done = kedro(fisher, "--pipelines", "compare", "--params", options)
    assert done.returncode == 0, done.stderr


def test_where_the_file_is_not_there_one_line_says_so(fisher):
    done = kedro(fisher, "--params", "equation.name=my_equations:FisherKPP")
    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    assert "equation: equation 'my_equations:FisherKPP': there is no module 'my_equations'" in said
    assert "Traceback" not in said

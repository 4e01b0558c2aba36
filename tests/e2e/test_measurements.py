"""An experiment of a file of measurements, through every command, with the data of an exact solution."""

import json
import re

import numpy as np
import pandas as pd
import pytest

DIFFUSIVITY, NOISE = 0.03, 0.02
PARAMETERS = """
equation:
  name: heat
  domain: {x: {size: 2.0, resolution: 24}}
  boundary: neumann
  dt: auto
  max_diffusivity: 0.2
measurements:
  file: data/01_raw/rod.csv
  time: t
  axes: {x: x}
  fields: {temperature: T}
  std: 0.02
  initial: {temperature: 20 + 3*cos(pi*x/2) - 2*cos(pi*x)}
observation:
  train_sim: [0]
  interpolation: cubic
  holdout: {fraction: 0.2, by: sensors}
synthetic: {epochs: 3, network: {name: resnet, filters: 4, blocks: 1}}
physical:
  method: Levenberg-Marquardt
  learnable_parameters: [{name: diffusivity, initial_guess: 0.1, bounds: [0.001, 0.2]}]
hybrid: {epochs: 4, warmup_epochs: 2}
"""


def rod(diffusivity=DIFFUSIVITY):
    """u = 20 + 3 cos(πx/2) exp(-D (π/2)² t) - 2 cos(πx) exp(-D π² t) at ten sensors, with noise."""
    random = np.random.default_rng(4)
    t, x = (part.ravel() for part in np.meshgrid(np.linspace(0.5, 8, 16), random.uniform(0, 2, 10), indexing="ij"))
    first = 3 * np.cos(np.pi * x / 2) * np.exp(-diffusivity * (np.pi / 2) ** 2 * t)
    second = 2 * np.cos(np.pi * x) * np.exp(-diffusivity * np.pi**2 * t)
    return pd.DataFrame({"t": t, "x": x, "T": 20 + first - second + NOISE * random.standard_normal(len(t))})


def write(project, table):
    path = project.path / "data" / "01_raw" / "rod.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat([pd.DataFrame({"t": [0.0], "x": [1.0], "T": [22.0]}), table]).to_csv(path, index=False)


@pytest.fixture(scope="module")
def experiment(project):
    """An experiment of one file in `conf`, and its measurements."""
    folder = project.path / "conf" / "rod"
    folder.mkdir()
    (folder / "parameters.yml").write_text(PARAMETERS)
    write(project, rod())

    def run(*arguments, params=""):
        return project.run(*arguments, "--env", "rod", params=params, small="")

    return run


@pytest.mark.slow
def test_one_file_of_configuration_gives_an_estimate_and_a_report(project, experiment):
    done = experiment("--pipelines", "physical")
    assert done.returncode == 0, done.stdout + done.stderr
    report = project.report("rod")
    diffusivity = report["methods"]["physical"]["parameters"]["diffusivity"]
    assert (diffusivity["true"], diffusivity["relative_error"]) == (None, None)
    assert abs(diffusivity["estimate"] - DIFFUSIVITY) < 3 * diffusivity["std"] < 0.1 * DIFFUSIVITY
    assert (report["measured"], report["judges"]) == (True, "holdout")
    heldout = report["methods"]["physical"]["heldout"]
    assert heldout["count"] == 2 * 16
    assert 0.3 < heldout["chi_square"] < 2.2
    nrmse = report["methods"]["physical"]["nrmse"]
    assert nrmse["times"] == pytest.approx(np.linspace(0.5, 8, 16))
    assert nrmse["mean"] == pytest.approx(np.mean(nrmse["per_step"]))


@pytest.mark.slow
def test_hybrid_training_and_comparison_are_of_the_measurements(project, experiment):
    done = experiment("--pipelines", "hybrid", "--to-outputs", "report", params="hybrid.alpha=auto")
    assert done.returncode == 0, done.stdout + done.stderr
    methods = project.report("rod")["methods"]
    assert {"hybrid_synthetic", "hybrid_physical"} < set(methods)
    done = experiment("--pipelines", "compare", params="compare.seeds=0-1,compare.methods=physical+synthetic")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = project.path / "data" / "08_reporting" / "rod"
    comparison = json.loads((folder / "comparison.json").read_text())
    physical = [r for r in comparison["runs"] if r["method"] == "physical"]
    for run in physical:
        found = run["parameters"]["diffusivity"]
        assert found["true"] is None
        assert abs(found["estimate"] - DIFFUSIVITY) < 3 * found["std"]
    assert "the data were measured" in (folder / "comparison.md").read_text()


@pytest.mark.slow
def test_a_part_of_a_run_trains_and_resumes_on_the_same_measurements_only(project, experiment):
    train = ("--pipelines", "physical", "--tags", "train")
    done = experiment(*train)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"diffusivity +physics alone +0\.0\d+ ± 0\.\d+", done.stdout + done.stderr), done.stderr
    assert experiment(*train, params="resume=true").returncode == 0
    write(project, rod(0.06))
    files = (project.path / "data").rglob("rod/**/*.safetensors")
    made = {path: path.read_bytes() for path in files if path.is_file()}
    done = experiment(*train, params="resume=true")
    assert done.returncode == 1
    assert "observations: other ones than then" in (done.stdout + done.stderr).splitlines()[-1]
    assert {path.parent.name for path in made} > {"rod", "physical_checkpoints"}
    assert {path: path.read_bytes() for path in made} == made
    done = experiment(*train, params="resume=true,measurements.std=0.03")
    assert done.returncode == 1
    assert "measurements.std: 0.02 in the checkpoint, 0.03 now" in (done.stdout + done.stderr).splitlines()[-1]
    assert {path: path.read_bytes() for path in made} == made
    write(project, rod())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("measurements.file=data/01_raw/rot.csv", "rot.csv: there is no such file (did you mean rod.csv?)"),
        pytest.param(
            "measurements.fields.temperature=temp",
            "rod.csv: fields.temperature: there is no column 'temp'",
            marks=pytest.mark.slow,
        ),
        pytest.param("observation.train_sim.0=3", "the file holds 1: 0 to 0", marks=pytest.mark.slow),
        pytest.param("equation.domain.x.size=0.5", "lie outside of x = 0 to 0.5", marks=pytest.mark.slow),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_is_computed(project, experiment, params, message):
    done = experiment("--pipelines", "physical", params=f"experiment=wrong,{params}")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert message in said.rstrip().splitlines()[-1]
    assert said.count(message) == 1
    assert "node" not in said
    assert not list((project.path / "data").glob("0[2-8]*/wrong"))

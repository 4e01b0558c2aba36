"""The commands of the README, run for real in a copy of the project.

What runs in the process that forks has every module imported: of each kind of command one is run by `shell`, which
tells what a command itself does not import.
"""

import json
import math
import sqlite3
import subprocess
import sys

import pytest
import xarray as xr
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
# Without figures, which take longer than all the rest.
REPORT = ("--to-outputs", "report")


def without_times(report):
    """The report's numbers that must be repeatable to the bit."""
    methods = json.loads(json.dumps(report["methods"]))
    for entry in methods.values():
        entry.pop("training_seconds", None)
    return methods


def test_end_to_end_on_burgers_has_as_many_epochs_as_asked_a_falling_synthetic_loss_and_a_report(project):
    done = project.shell("--pipelines", "hybrid", params="experiment=whole,profile=true")
    assert done.returncode == 0, done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) <= 40
    assert lines[-1].endswith("whole/report.html")
    assert any("epoch 5 of 5" in line and "viscosity 0." in line and " ± " in line for line in lines)
    report = project.report("whole")
    assert set(report["methods"]) == {"persistence", "hybrid_synthetic", "hybrid_physical"}
    estimate = report["methods"]["hybrid_physical"]["parameters"]["viscosity"]
    assert estimate["std"] < 2e-3
    assert abs(estimate["estimate"] - 0.1) < 4 * estimate["std"], "pulled by a network of five epochs, at that"
    assert estimate["interval"][0] < 0.1 < estimate["interval"][1]
    assert estimate["relative_error"] == pytest.approx(abs(estimate["estimate"] - 0.1) / 0.1)
    folder = project.path / "data" / "08_reporting" / "whole"
    for name in ("training_curves.png", "rollout_error.png", "predictions.png", "parameter_estimates.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 1e5 < len(page) < 5e6
    assert "viscosity = 0." in page
    assert (folder / "predictions.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "animation.gif").read_bytes().startswith(b"GIF")
    assert (folder / "report_table.csv").read_text().count("\n") == 4
    phases = json.loads((folder / "profile.json").read_text())["trainings"]["hybrid"]["phases"]
    assert sum(row["share"] for row in phases) == pytest.approx(1)
    assert "### Operators of synthetic updates" in (folder / "profile.md").read_text()
    saved = yaml.safe_load((folder / "configuration.yaml").read_text())
    assert saved["hybrid"]["epochs"] == 5
    history = [json.loads(line) for line in (folder / "hybrid_metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5]
    assert [entry["metrics"]["physical_loss"] is None for entry in history] == [True, True, False, False, False]
    assert history[-1]["metrics"]["synthetic_loss"] < history[0]["metrics"]["synthetic_loss"]


def test_a_run_killed_in_the_middle_and_resumed_has_the_same_final_numbers_to_the_bit(project):
    hybrid = ("--pipelines", "hybrid", *REPORT)
    assert project.run(*hybrid, params="experiment=uninterrupted").returncode == 0
    killed = project.kill_after_epoch(3, *hybrid, params="experiment=killed", experiment="killed")
    assert killed != 0
    assert not (project.path / "data/08_reporting/killed/report.json").exists()

    refused = project.run(*hybrid, params="experiment=killed,resume=true,hybrid.alpha=0.123")
    assert refused.returncode != 0
    assert "hybrid.alpha: 'auto' in the checkpoint, 0.123 now" in refused.stderr.splitlines()[-1]

    done = project.run(*hybrid, params="experiment=killed,resume=true")
    assert done.returncode == 0, done.stderr
    assert "Resuming the hybrid training after epoch" in done.stderr + done.stdout
    assert without_times(project.report("killed")) == without_times(project.report("uninterrupted"))


def test_all_methods_are_compared_by_default_and_the_data_are_reused(project):
    assert project.run("--pipelines", "generation", params="experiment=compared").returncode == 0
    done = project.run(*REPORT, params="experiment=compared")
    assert done.returncode == 0, done.stderr
    assert "they are reused" in done.stderr + done.stdout
    methods = list(project.report("compared")["methods"])
    assert methods == ["persistence", "synthetic", "physical", "hybrid_synthetic", "hybrid_physical"]


def test_the_old_form_of_the_option_and_the_run_configuration_work_too(project):
    assert project.run("--pipeline", "physical", *REPORT, params="experiment=old").returncode == 0
    params = "experiment=configured,hybrid.epochs=1,hybrid.warmup_epochs=0"
    done = project.run("--config", ".kedro.yml", *REPORT, params=params)
    assert done.returncode == 0, done.stderr
    assert "hybrid_physical" in project.report("configured")["methods"]


def test_training_and_evaluation_run_alone_by_tag(project):
    assert project.run("--pipelines", "synthetic", "--tags", "train", params="experiment=parts").returncode == 0
    assert not (project.path / "data/08_reporting/parts/report.json").exists()
    done = project.shell("--pipelines", "synthetic", "--tags", "evaluate", *REPORT, params="experiment=parts")
    assert done.returncode == 0, done.stderr
    assert math.isfinite(project.report("parts")["methods"]["synthetic"]["nrmse"]["mean"])


def test_the_iteration_limit_without_suppression_is_an_error_that_says_what_to_do(project):
    params = "experiment=limit,physical.max_iterations=3,physical.abs_tol=1e-14,physical.suppress_convergence_errors="
    done = project.run("--pipelines", "physical", *REPORT, params=params + "false")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "physical.max_iterations" in last
    assert "physical.suppress_convergence_errors=true" in last
    assert "FAILED" in project.mlflow_statuses()
    done = project.run("--pipelines", "physical", *REPORT, params=params + "true")
    assert done.returncode == 0, done.stderr
    estimate = project.report("limit")["methods"]["physical"]["parameters"]["viscosity"]
    assert estimate["std"] < 2e-3
    assert abs(estimate["estimate"] - 0.1) < 4 * estimate["std"]


def test_a_wrong_configuration_computes_nothing_and_says_where_it_is(project):
    done = project.shell("--pipelines", "hybrid", params="experiment=wrong,hybrid.alhpa=0.5,synthetic.batch_size=0")
    assert done.returncode == 1
    assert "--params: hybrid.alhpa: unknown key" in done.stderr
    assert "--params: synthetic.batch_size: 0" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.path / "data/02_intermediate/wrong").exists()


def test_an_evaluation_on_nothing_is_refused_before_the_training(project):
    done = project.run("--env", "minimal", "--pipelines", "hybrid", small="", params="experiment=nothing")
    assert done.returncode == 1
    assert "observation.test_sim: [] leaves nothing to evaluate on" in done.stderr.splitlines()[-1]
    assert not (project.path / "data/02_intermediate/nothing").exists()


def test_runs_are_recorded_in_the_projects_database_from_any_folder(project):
    (project.path / "notebooks").mkdir(exist_ok=True)
    params = "experiment=elsewhere,notes=a try"
    done = project.run("--pipelines", "physical", *REPORT, params=params, folder="notebooks")
    assert done.returncode == 0, done.stderr
    assert not (project.path / "notebooks" / "mlflow.db").exists()
    with sqlite3.connect(project.path / "mlflow.db") as database:
        rows = database.execute("select key, value from params where key like 'equation.%'").fetchall()
    assert ("equation.parameters.viscosity", "0.1") in rows
    assert "FINISHED" in project.mlflow_statuses()


def test_what_was_trained_predicts_and_is_exported(project):
    params = "experiment=predicted"
    nothing = project.run("--pipelines", "predict", params=params)
    assert nothing.returncode == 1
    assert "has no trained_models yet; run `--tags train` first" in nothing.stderr.splitlines()[-1]
    assert project.run("--pipelines", "hybrid", "--tags", "train", params=params).returncode == 0
    done = project.shell("--pipelines", "predict", params=params + ",predict.steps=4")
    assert done.returncode == 0, done.stderr
    path = project.path / "data" / "07_model_output" / "predicted" / "predictions.nc"
    data = xr.load_dataset(path, engine="h5netcdf")
    assert data.time[0] == pytest.approx(16 * 0.05)
    assert (data["hybrid_physical.velocity_x_std"] > 0).all()
    last = data.isel(time=-1)[["hybrid_physical.velocity_x"]].rename({"hybrid_physical.velocity_x": "velocity_x"})
    last.to_netcdf(project.path / "last.nc", engine="h5netcdf")
    done = project.run("--pipelines", "predict", params=params + ",predict.steps=2,predict.initial_states=last.nc")
    assert done.returncode == 0, done.stderr
    assert xr.load_dataset(path, engine="h5netcdf").sizes["time"] == 2
    wrong = project.run("--pipelines", "predict", params=params + ",predict.initial_states=lost.nc")
    assert wrong.returncode == 1
    assert "predict.initial_states: there is no file" in wrong.stderr.splitlines()[-1]
    folder = project.path / "data" / "06_models" / "predicted"
    arguments = ("export", "--folder", str(folder), "--output", "network.pt2")
    done = subprocess.run(
        (sys.executable, "-m", "hyco", *arguments), cwd=project.path, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert (project.path / "network.pt2").is_file()

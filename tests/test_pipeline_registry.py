from __future__ import annotations

import subprocess
import sys

from hyco.pipeline_registry import register_pipelines

TRAININGS = ["synthetic", "physical", "hybrid"]


def test_the_pipelines_are_generation_one_per_training_all_together_comparison_and_prediction():
    assert sorted(register_pipelines()) == sorted(["__default__", "compare", "generation", "predict", *TRAININGS])


def test_each_training_runs_from_nothing_but_parameters_to_a_report():
    for name in (*TRAININGS, "__default__"):
        pipeline = register_pipelines()[name]
        needed = {i for i in pipeline.inputs() if not i.startswith("params:")}
        # What an earlier run may have left, and may not; the file that an experiment may name, and folders.
        optional = {i for i in needed if i.startswith("cached_") or i.endswith("_resume_point")}
        # All parameters, and what was typed: every session has them.
        of_session = {"parameters", "run_command"}
        folders = {"generation_results"} | ({"physical_results"} if name in ("physical", "__default__") else set())
        assert needed - optional - of_session == {"measurements"} | folders, name
        assert "report" in pipeline.all_outputs()


def test_the_parts_train_and_evaluate_make_up_every_training():
    for name in (*TRAININGS, "__default__"):
        pipeline = register_pipelines()[name]
        assert set(pipeline.only_nodes_with_tags("train", "evaluate").nodes) == set(pipeline.nodes)


def test_listing_the_pipelines_imports_nothing_heavy():
    code = (
        "import sys, hyco.settings, hyco.pipeline_registry as r; r.register_pipelines(); "
        "print([m for m in ('torch', 'mlflow', 'phi', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

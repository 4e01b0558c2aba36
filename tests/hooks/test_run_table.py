"""The view of an experiment in MLflow's pages."""

import json

import mlflow
import pytest

from hyco.hooks.run_table import NAME, VIEW, columns_of, show


@pytest.fixture
def client(tmp_path):
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    client.create_experiment("problem")
    return client


def run(client):
    return client.create_run(client.get_experiment_by_name("problem").experiment_id).info.run_id


def view(client):
    return json.loads(client.get_experiment_by_name("problem").tags[VIEW])


def test_a_runs_columns_begin_with_what_it_changed_and_the_error_of_its_network():
    metrics = ["nrmse/hybrid_physical", "nrmse/persistence", "estimate/hybrid_physical/D", "nrmse/hybrid_synthetic"]
    names = ["nrmse/hybrid_synthetic", "nrmse/hybrid_physical", "estimate/hybrid_physical/D"]
    assert columns_of(["seed"], metrics) == ["params.`seed`", *(f"metrics.`{name}`" for name in names)]
    assert columns_of(["predict.steps"], ["cost/seconds"]) == []


@pytest.mark.slow
def test_runs_add_their_columns_to_the_view_unless_somebody_has_changed_it(client):
    one, two = run(client), run(client)
    show(client, one, columns_of(["hybrid.alpha"], ["std/hybrid_physical/nu", "nrmse/hybrid_synthetic", "cost/s"]))
    show(client, two, columns_of(["seed", "hybrid.alpha"], ["heldout_error/hybrid_synthetic", "nrmse/synthetic"]))
    state = json.loads(view(client)["state"])
    assert view(client)["name"] == NAME
    assert state["selectedColumns"] == [
        "params.`hybrid.alpha`",
        "params.`seed`",
        "metrics.`nrmse/hybrid_synthetic`",
        "metrics.`nrmse/synthetic`",
        "metrics.`heldout_error/hybrid_synthetic`",
        "metrics.`std/hybrid_physical/nu`",
    ]
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`nrmse/hybrid_synthetic`", True)
    assert set(state["columnWidths"]) == set(state["selectedColumns"])
    mine = {**view(client), "updatedAt": view(client)["createdAt"] + 1}
    experiment = client.get_experiment_by_name("problem").experiment_id
    for changed in (json.dumps(mine), "no JSON"):
        client.set_experiment_tag(experiment, VIEW, changed)
        show(client, one, ["params.`another`"])
        assert client.get_experiment(experiment).tags[VIEW] == changed

"""Names of pipelines, nodes, tags, datasets and versions that there are not are told in a line."""

from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node

from hyco.hooks.selection import SelectionError, require_selection, require_versions

DATA = Pipeline([node(lambda: 1, None, "data", name="simulate", tags="train")])
JUDGED = Pipeline([node(lambda d, s: d + s, ["data", "params:seed"], "report", name="judge", namespace=None)])
OTHERS = Pipeline([node(lambda d: d, "data", "report", name="judge")])
PIPELINES = {"generation": DATA, "all": DATA + JUDGED, "__default__": DATA + JUDGED}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pipeline_names": ["al"]}, "--pipelines: there is no 'al'; allowed: all, generation"),
        ({"node_names": ("jugde",)}, "--nodes: there is no 'jugde'; allowed: judge, simulate"),
        ({"from_nodes": ["x"]}, "--from-nodes: there is no 'x'; allowed: judge, simulate"),
        ({"pipeline_names": ["generation"], "to_nodes": ["judge"]}, "--to-nodes: .*; allowed: simulate"),
        ({"tags": ("trian",)}, "--tags: there is no 'trian'; allowed: train"),
        ({"from_inputs": ["x"]}, "--from-inputs: there is no 'x'; allowed: data"),
        ({"to_outputs": ["x"]}, "--to-outputs: there is no 'x'; allowed: data, report"),
        ({"namespaces": ["x"]}, "--namespaces: there is no 'x'; allowed: none"),
        ({"tags": ("train",), "node_names": ("judge",)}, "--tags train and --nodes judge leave no node to run"),
        ({"runner": SimpleNamespace(_is_async=True)}, "--async cannot be used"),
    ],
)
def test_what_there_is_not_is_told_with_what_there_is(options, message):
    with pytest.raises(SelectionError, match=message) as caught:
        require_selection(options, PIPELINES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        *({}, {"pipeline_names": ["all"], "to_outputs": ["report"]}, {"from_inputs": ["data"]}),
        *({"from_inputs": ["params:seed"]}, {"pipeline_name": "generation", "node_names": ["simulate"]}),
        *({"tags": ("other", "train")}, {"node_names": ("judge",), "from_nodes": ["simulate"]}),
    ],
)
def test_what_there_is_is_taken(options):
    require_selection(options, PIPELINES)


def test_pipelines_that_both_write_the_report_are_not_taken_together():
    two = PIPELINES | {"other": DATA + OTHERS}
    with pytest.raises(SelectionError, match="--pipelines all,other: each writes the report, so run them one after"):
        require_selection({"pipeline_names": ["all", "other"]}, two)
    require_selection({"pipeline_names": ["all", "generation"]}, two)


def test_a_version_that_there_is_not_is_told(tmp_path):
    conf = {
        "model": {
            "type": "hyco.datasets.json_file.JSONDataset",
            "filepath": str(tmp_path / "model.json"),
            "versioned": True,
        }
    }
    DataCatalog.from_config(conf, save_version="2026")["model"].save({"a": 1})
    for version in ("2026", "2020"):
        catalog = DataCatalog.from_config(conf, load_versions={"model": version}, save_version="2027")
        if version == "2026":
            require_versions({"model": version}, catalog)
            continue
        with pytest.raises(SelectionError, match=r"^--load-versions: model has no version '2020'; it has: 2026$"):
            require_versions({"model": version}, catalog)

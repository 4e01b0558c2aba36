"""What a run's figures and pages need beside it: a process that gets ready, an end, and datasets that draw."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

import pandas as pd
import pytest
from kedro.pipeline import Pipeline, node

from hyco.hooks import FigureHooks, ReportHooks
from hyco.pipelines.evaluation import drawings
from hyco.runtime.beside import FIGURES, BesideError

PARAMETERS = {"experiment": "tiny"}
HYCO, KEDRO = "hyco.datasets.texts.TextFileDataset", "kedro_datasets.text.TextDataset"


def a_page(made):
    return Pipeline([node(lambda: made, None, "report_page", name="page")])


@pytest.fixture
def page(tmp_path):
    return tmp_path / "report.html"


def catalog(page, kind=HYCO):
    return {"report_page": {"type": kind, "filepath": str(page)}}


def test_a_run_ends_when_its_figures_are_written(session, page):
    def slow():
        time.sleep(0.3)
        return "new"

    session((FigureHooks(),), a_page(slow), catalog(page), PARAMETERS)
    assert page.read_text() == "new"


class Witness:
    """The hook of another, as MLflow's: it logs the files of a run."""

    from kedro.framework.hooks import hook_impl

    def __init__(self, page):
        self.page, self.seen = page, None

    @hook_impl
    def after_pipeline_run(self):
        self.seen = self.page.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is made at once")
def test_a_page_that_cannot_be_made_fails_the_run_after_all_other_hooks_and_leaves_no_earlier_one(session, page):
    page.write_text("of an earlier run")
    witness = Witness(page)
    with pytest.raises(BesideError, match=r"report\.html could not be written"):
        session((FigureHooks(), witness), a_page(lambda: str(1 / 0)), catalog(page), PARAMETERS)
    assert witness.seen is False
    assert not page.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is made at once")
def test_where_a_run_fails_its_figures_are_done_before_the_next_one(session, page):
    def slow():
        time.sleep(0.3)
        return "new"

    nodes = [*a_page(slow).nodes, node(lambda _: 1 / 0, "report_page_done", "never", name="fails")]
    nodes.append(node(lambda: 1, None, "report_page_done", name="then"))
    with pytest.raises(ZeroDivisionError):
        session((FigureHooks(),), Pipeline(nodes), catalog(page), PARAMETERS)
    FIGURES.finish()
    assert not FIGURES._running


def test_only_a_run_with_figures_whose_process_does_not_know_matplotlib_has_one_that_gets_ready():
    code = """
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from hyco.hooks.figures import FigureHooks
from hyco.runtime.beside import FIGURES
ready = []
FIGURES.get_ready = ready.append
catalog = DataCatalog.from_config({"curves": {"type": "hyco.datasets.figure.FigureDataset", "filepath": "a.png"}})
for name in ("number", "curves"):
    FigureHooks().before_pipeline_run(Pipeline([node(lambda: 1, None, name, name="work")]), catalog)
    print(len(ready))
import matplotlib
FigureHooks().before_pipeline_run(Pipeline([node(lambda: 1, None, "curves", name="work")]), catalog)
print(len(ready))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["0", "1", "1"]


@pytest.mark.parametrize("kind", [HYCO, KEDRO])
def test_a_dataset_of_the_users_own_is_given_the_page_itself(session, page, kind):
    session((FigureHooks(),), a_page(partial(write_page, "<html>")), catalog(page, kind), PARAMETERS)
    assert page.read_text() == "<html>"


def write_page(text):
    return text


write_page.__module__ = drawings.__name__  # as one of those


@pytest.mark.parametrize("kind", ["kedro_datasets.matplotlib.MatplotlibDataset", "hyco.datasets.figure.FigureDataset"])
def test_a_dataset_of_the_users_own_is_given_the_figure_itself(session, tmp_path, kind):
    file = tmp_path / "words.png"
    draw = partial(drawings.profiles, {"physical": {}}, {})
    pipeline = Pipeline([node(lambda: draw, None, "profiles", name="draw")])
    session((FigureHooks(),), pipeline, {"profiles": {"type": kind, "filepath": str(file)}}, PARAMETERS)
    assert file.exists() == kind.startswith("kedro")  # one of words alone is no file of hyco's


def test_a_model_that_can_be_called_is_no_figure(session, tmp_path):
    pipeline = Pipeline([node(lambda: partial(int, "7"), None, "model", name="train")])
    conf = {"model": {"type": "kedro_datasets.pickle.PickleDataset", "filepath": str(tmp_path / "model")}}
    session((FigureHooks(),), pipeline, conf, PARAMETERS)
    assert (tmp_path / "model").exists()


@pytest.mark.parametrize("numbers", ["report", "comparison"])
def test_pages_and_figures_of_other_numbers_go_when_new_ones_come(session, tmp_path, numbers):
    names = {"report": "report_page", "comparison": "comparison_report"}
    kinds = {"page.html": HYCO, "curves.png": "hyco.datasets.figure.FigureDataset"}
    kinds |= {"moving.gif": "hyco.datasets.animation.AnimationDataset", "first.txt": HYCO, "other.txt": HYCO}
    conf = {name.partition(".")[0]: {"type": k, "filepath": str(tmp_path / name)} for name, k in kinds.items()}
    conf[names[numbers]] = conf.pop("page")
    conf[numbers] = {"type": "hyco.datasets.json_file.JSONDataset", "filepath": str(tmp_path / "numbers.json")}
    for name in (*kinds, "curves.pdf"):
        (tmp_path / name).write_text("of an earlier run")

    def fail(_):
        raise ZeroDivisionError

    nodes = [
        node(lambda: "new", None, "first", name="first"),
        node(lambda _: {"methods": {}}, "first", numbers, name="numbers"),
        node(fail, numbers, ["curves", "moving"], name="later"),
    ]
    with pytest.raises(ZeroDivisionError):
        session((FigureHooks(), ReportHooks()), Pipeline(nodes), conf, PARAMETERS)
    left = {path.name: path.read_text() for path in tmp_path.iterdir() if path.suffix not in (".json", ".yaml")}
    assert left == {"first.txt": "new", "other.txt": "of an earlier run"}


def test_a_table_that_is_read_before_a_row_is_added_stays(session, tmp_path):
    table = {"type": "hyco.datasets.texts.TableFileDataset", "filepath": str(tmp_path / "runs.csv")}
    conf = {"before": table, "after": {**table, "save_args": {"index": False}}}
    conf["report"] = {"type": "hyco.datasets.json_file.JSONDataset", "filepath": str(tmp_path / "report.json")}
    (tmp_path / "runs.csv").write_text("run\n1\n2\n")
    nodes = [
        node(lambda: {"methods": {}}, None, "report", name="numbers"),
        node(lambda _, runs: pd.concat([runs, pd.DataFrame({"run": [3]})]), ["report", "before"], "after", name="add"),
    ]
    session((FigureHooks(), ReportHooks()), Pipeline(nodes), conf, PARAMETERS)
    assert pd.read_csv(tmp_path / "runs.csv")["run"].tolist() == [1, 2, 3]

"""A project of a moment for faults of whole commands, and what has to be true of it whatever happened."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import yaml
from PIL import Image

from forked import ROOT, Forked
from hyco.datasets.metrics import MetricsDataset
from hyco.runtime.storage import digest, read_bundle, read_json

EPOCHS = 30
TINY: dict[str, Any] = {
    "experiment": "${globals:experiment}",
    "threads": 1,
    "equation": {
        "name": "heat",
        "domain": {"x": {"size": 4.0, "resolution": 16}},
        "dt": 0.05,
        "parameters": {"diffusivity": 0.3},
    },
    "generation": {"simulations": 3, "steps": 6, "length_scale": 0.8},
    "observation": {"train_sim": [0], "val_sim": [1], "test_sim": [2], "noise": 0.01},
    "synthetic": {
        "network": {"name": "resnet", "filters": 4, "blocks": 1},
        "epochs": EPOCHS,
        "num_predict_steps": 3,
        "learning_rate": 3e-3,
        "batch_size": 2,
        "validate_every": 5,
    },
    "physical": {
        "learnable_parameters": [{"name": "diffusivity", "initial_guess": 0.6, "bounds": [0.01, 1.0]}],
        "num_predict_steps": 3,
        "suppress_convergence_errors": True,
    },
    "hybrid": {
        "epochs": EPOCHS,
        "num_predict_steps": 3,
        "warmup_epochs": 2,
        "alpha": 0.7,
        "validate_every": 5,
        "physical": {"max_iterations": 1},
    },
    "compare": {"seeds": [0, 1], "methods": "synthetic+physical", "draws": 100},
}
# Without figures, which take five times as long as all the rest.
REPORT = ("--to-outputs", "report")
# What each pipeline is run with, and the trainings in it.
PIPELINES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "generation": (("--pipelines", "generation"), ()),
    "synthetic": (("--pipelines", "synthetic", *REPORT), ("synthetic",)),
    "physical": (("--pipelines", "physical", *REPORT), ("physical",)),
    "hybrid": (("--pipelines", "hybrid", *REPORT), ("hybrid",)),
    "compare": (("--pipelines", "compare"), ()),
    "all": (REPORT, ("synthetic", "physical", "hybrid")),
    "hybrid with figures": (("--pipelines", "hybrid"), ("hybrid",)),
}


class Project:
    """A copy of the project without its results, with an experiment that trains in a moment.

    Args:
        parent: the folder that it is made in; None: one of the system's.

    Attributes:
        made: all of them.
    """

    made: ClassVar[list[Project]] = []

    def __init__(self, parent: Path | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="hyco_faults_", dir=parent))
        self.made.append(self)
        for name in ("conf", "src"):
            shutil.copytree(ROOT / name, self.path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("pyproject.toml", ".kedro.yml", ".telemetry"):
            shutil.copy(ROOT / name, self.path / name)
        self.configure(TINY)

    def configure(self, parameters: Any) -> None:
        """Write the parameters of the experiment."""
        folder = self.path / "conf" / "tiny"
        folder.mkdir(exist_ok=True)
        text = parameters if isinstance(parameters, bytes) else yaml.safe_dump(parameters, sort_keys=False).encode()
        (folder / "parameters.yml").write_bytes(text)
        (folder / "globals.yml").write_text("experiment: tiny\n", encoding="utf-8")

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def start(self, pipeline: str, experiment: str, params: str = "", uri: str | None = None) -> Forked:
        """A run of a pipeline, in a process of its own."""
        return self.command(
            "kedro", ("run", "--env", "tiny", *arguments_of(pipeline, experiment, params)), self.environment(uri)
        )

    def command(self, module: str, arguments: Sequence[str], env: dict[str, str] | None = None) -> Forked:
        """Any command, `python -m MODULE ARGUMENTS`."""
        return Forked(module, arguments, cwd=self.path, env=env or self.environment())

    def environment(self, uri: str | None = None) -> dict[str, str]:
        """Of a process in it."""
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
        quiet = {"KEDRO_DISABLE_TELEMETRY": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
        return {
            **kept,
            **quiet,
            "COLUMNS": "200",
            "PYTHONPATH": str(self.path / "src"),
            **({"MLFLOW_TRACKING_URI": uri} if uri else {}),
        }

    def reporting(self, experiment: str) -> Path:
        """Where reports and live metrics are."""
        return self.path / "data" / "08_reporting" / experiment

    def models(self, experiment: str) -> Path:
        """Where checkpoints and final models are."""
        return self.path / "data" / "06_models" / experiment

    def epochs(self, experiment: str, training: str = "hybrid") -> int:
        """How many finished lines the live metrics have."""
        path = self.reporting(experiment) / f"{training}_metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def kept(self, experiment: str, training: str = "hybrid") -> int:
        """The epoch of the last checkpoint."""
        path = self.models(experiment) / f"{training}_checkpoints" / "last.safetensors"
        return int(read_bundle(path).metadata["epoch"]) if path.exists() else 0

    def history(self, experiment: str, training: str) -> list[dict[str, Any]]:
        """The live metrics."""
        return MetricsDataset(str(self.reporting(experiment) / f"{training}_metrics.jsonl")).load()

    def results(self, experiment: str) -> dict[str, Any]:
        """All that a run has made and that is repeatable, to the bit."""
        found: dict[str, Any] = {}
        for name in ("report", "comparison"):
            if (path := self.reporting(experiment) / f"{name}.json").exists():
                found[name] = repeatable(read_json(path))
        for path in sorted(self.reporting(experiment).glob("*_metrics.jsonl")):
            found[path.stem] = repeatable(MetricsDataset(str(path)).load())
        for folder in ("02_intermediate", "05_model_input", "07_model_output"):
            for path in sorted((self.path / "data" / folder / experiment).glob("*.safetensors")):
                if ".damaged-" not in path.name:  # those were set aside
                    found[path.stem] = digest(read_bundle(path))
        for folder in sorted(self.models(experiment).glob("*")):
            for path in sorted(folder.glob("**/*"))[-1:]:  # the newest version, or `last` among the checkpoints
                path = folder / "last.safetensors" if folder.name.endswith("_checkpoints") else path
                if path.suffix == ".safetensors":
                    found[folder.name] = content_of(path)
                elif folder.suffix == ".json":
                    found[folder.name] = repeatable(read_json(path))
        return found

    def broken_files(self) -> list[str]:
        """Files that cannot be read; an unfinished last line of live metrics is foreseen."""
        broken = []
        for path in sorted((self.path / "data").rglob("*")):
            if path.is_dir() or path.name.startswith(".") or ".damaged-" in path.name:
                continue
            try:
                if path.suffix == ".safetensors":
                    read_bundle(path)
                elif path.suffix == ".json" and path.name != "input_example.json":
                    read_json(path)
                elif path.suffix == ".jsonl" and ".mlflow_queue" not in path.parts:
                    MetricsDataset(str(path)).load()
                elif path.suffix in (".png", ".gif"):
                    with Image.open(path) as image:
                        for frame in range(getattr(image, "n_frames", 1)):
                            image.seek(frame)
                            image.load()
                elif path.suffix in (".html", ".pdf"):
                    text = path.read_bytes().rstrip()
                    if not text.endswith((b"</html>", b"%%EOF")):
                        raise ValueError("it has no end")
            except Exception as error:
                broken.append(f"{path.relative_to(self.path)}: {error!r:.200}")
        return broken

    def leftovers(self) -> list[str]:
        """Temporary files and locks of processes that have ended."""
        hidden = [p for p in (self.path / "data").rglob(".*") if p.is_file()]
        beside = [*self.path.glob("mlflow.db.*"), *self.path.glob("data/.locks/*")]
        return sorted(str(p.relative_to(self.path)) for p in {*hidden, *beside})

    def runs(self, experiment: str, database: Path | None = None) -> dict[str, str]:
        """The runs of an experiment in MLflow that are in no other run, with their status, in order of their start."""
        query = (
            "select r.run_uuid, r.status from runs r join tags t on t.run_uuid = r.run_uuid where t.key = 'experiment' "
            "and t.value = ? and not exists (select 1 from tags p where p.run_uuid = r.run_uuid and "
            "p.key = 'mlflow.parentRunId') order by r.start_time"
        )
        if not (path := database or self.path / "mlflow.db").exists():  # it would be made
            return {}
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            return dict(connection.execute(query, (experiment,)).fetchall())

    def logged(self, run: str, database: Path | None = None) -> Counter[tuple[str, int, float]]:
        """The metrics of a run in MLflow: name, step and value, and how often it has them."""
        with closing(sqlite3.connect(database or self.path / "mlflow.db", timeout=60)) as connection:
            return Counter(connection.execute("select key, step, value from metrics where run_uuid = ?", (run,)))

    def mistakes_in_history(
        self, experiment: str, trainings: Sequence[str], run: str, database: Path | None = None
    ) -> int:
        """How many values of the live metrics MLflow has not exactly once; the epochs that are missing count, too."""
        logged, mistakes = self.logged(run, database), 0
        for training in trainings:
            prefix = "" if len(trainings) == 1 else f"{training}/"
            for record in self.history(experiment, training):
                for name, value in record["metrics"].items():
                    mistakes += value is not None and logged[prefix + name, record["epoch"], value] != 1
        return mistakes


def arguments_of(pipeline: str, experiment: str, params: str = "") -> tuple[str, ...]:
    """Of `kedro run`."""
    return *PIPELINES[pipeline][0], "--params", f"experiment={experiment}{',' if params else ''}{params}"


def repeatable(value: Any) -> Any:
    """JSON values without what a clock, the size of the process, or where a run was resumed tells."""
    if isinstance(value, dict):
        changing = ("seconds", "bytes", "cost", "resumed_from")
        kept = {k: v for k, v in value.items() if not any(word in k for word in changing) and k != "experiment"}
        return {k: repeatable(v) for k, v in kept.items()}
    return [repeatable(v) for v in value] if isinstance(value, list) else value


def content_of(path: Path) -> Any:
    """Tensors, as bytes, and the repeatable metadata of a file."""
    bundle = read_bundle(path)
    tensors = {name: (str(t.dtype), list(t.shape), t.numpy().tobytes()) for name, t in bundle.tensors.items()}
    return tensors, repeatable(bundle.metadata)


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of results that differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def wait_for(condition: Callable[[], bool], seconds: float = 300.0, pause: float = 0.01) -> bool:
    """Whether a condition holds before the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(pause)
    return False


def output_of(process: Any, outcomes: Counter[str]) -> str:
    """All that a process has printed, which must have no traceback."""
    text, _ = process.communicate()
    outcomes["traceback"] += "Traceback" in text
    if "Traceback" in text:
        print(text[-3000:], flush=True)
    return str(text)

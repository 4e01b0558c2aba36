"""The file MLmodel, by which MLflow knows how to load the final models of a run, and what goes in and out."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from hyco.fields import Layout

EXAMPLE = "input_example.json"


def model_files(paths: Mapping[str, Path], equation: Mapping[str, Any], run_id: str) -> list[Path]:
    """The files of final models, and those by which MLflow loads them.

    Args:
        paths: of the models, `FOLDER/NAME/VERSION/NAME`.
        equation: section of the data's equation; empty where it is not known, then there is nothing to load by.
        run_id: of the run in MLflow.
    """
    files = [path for _, path in sorted(paths.items()) if path.exists()]
    if not files or not equation:
        return files
    from hyco.equations.registry import build_equation

    return files + write_mlmodel(files[0].parents[2] / "mlflow", build_equation(dict(equation)).layout, run_id)


def write_mlmodel(folder: Path, layout: Layout, run_id: str) -> list[Path]:
    """Write MLmodel and an example of an input; both as `mlflow.models.Model` would, which takes seconds to import.

    Args:
        folder: where to.
        layout: of the states.
        run_id: of the run in MLflow.
    """
    state = (len(layout.channels), *layout.shape)
    # Within the range of every equation.
    example = _filled(state, 0.5)
    content: dict[str, Any] = {
        "artifact_path": "models",
        "flavors": {
            "python_function": {
                "loader_module": "hyco.predictions.pyfunc",
                "python_version": platform.python_version(),
                "env": {},
            }
        },
        "model_uuid": run_id,
        "run_id": run_id,
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "saved_input_example_info": {"artifact_path": EXAMPLE, "type": "ndarray", "format": "tf-serving"},
        "signature": {
            "inputs": _tensor([-1, *state]),
            "outputs": _tensor([-1, -1, *state]),
            "params": json.dumps(
                [
                    {"name": "steps", "type": "long", "default": 10, "shape": None},
                    {"name": "method", "type": "string", "default": "", "shape": None},
                ]
            ),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "MLmodel", folder / EXAMPLE]
    files[0].write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    files[1].write_text(json.dumps(example), encoding="utf-8")
    return files


def _tensor(shape: Sequence[int]) -> str:
    return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": list(shape)}}])


def _filled(shape: Sequence[int], value: float) -> Any:
    """Nested lists of one batch."""
    nested: Any = value
    for n in (1, *shape)[::-1]:
        nested = [nested] * n
    return nested

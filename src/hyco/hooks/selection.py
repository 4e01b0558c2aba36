"""What a run is asked to do, by names: those that there are not are told in a line, with those that there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset
from kedro.pipeline import Pipeline

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol

# Options of `kedro run` that choose nodes: their names in Python and on the command line.
_OPTIONS = {
    "tags": "--tags",
    "node_names": "--nodes",
    "from_nodes": "--from-nodes",
    "to_nodes": "--to-nodes",
    "from_inputs": "--from-inputs",
    "to_outputs": "--to-outputs",
    "namespaces": "--namespaces",
}


class SelectionError(ValueError):
    """A run is asked for that there is not."""


def require_selection(options: Mapping[str, Any], pipelines: Mapping[str, Pipeline]) -> None:
    """Refuse names that no pipeline, node, tag or dataset has, and a choice that leaves nothing to do.

    Args:
        options: of `kedro.framework.session.KedroSession.run`.
        pipelines: all that there are, by name.

    Raises:
        SelectionError: one line.
    """
    if getattr(options.get("runner"), "_is_async", False):
        raise SelectionError(
            "--async cannot be used: a training saves each epoch before it begins the next. Leave it out"
        )
    chosen = _together(options.get("pipeline_names") or [options.get("pipeline_name") or "__default__"], pipelines)
    nodes = {node.name for node in chosen.nodes}
    names = {
        "tags": {tag for node in chosen.nodes for tag in node.tags},
        "node_names": nodes,
        "from_nodes": nodes,
        "to_nodes": nodes,
        "from_inputs": {name for node in chosen.nodes for name in node.inputs},
        "to_outputs": chosen.all_outputs(),
        "namespaces": {prefix for node in chosen.nodes for prefix in node.namespace_prefixes},
    }
    asked = {key: list(options.get(key) or ()) for key in _OPTIONS}
    for key, wanted in asked.items():
        # A node has one of several tags; all else has to be there.
        for name in wanted if key != "tags" or not names[key].intersection(wanted) else ():
            _require(_OPTIONS[key], name, names[key])
    try:
        chosen.filter(**{"node_namespaces" if key == "namespaces" else key: asked[key] or None for key in asked})
    except ValueError as error:
        said = " and ".join(f"{_OPTIONS[key]} {','.join(wanted)}" for key, wanted in asked.items() if wanted)
        raise SelectionError(f"{said} leave no node to run: each alone has some, together they have none") from error


def _together(asked: Sequence[str], pipelines: Mapping[str, Pipeline]) -> Pipeline:
    """All that are asked for, in one."""
    for name in asked:
        _require("--pipelines", name, (known for known in pipelines if known != "__default__" or name == known))
    try:
        return sum((pipelines[name] for name in asked), Pipeline([]))
    except ValueError as error:  # two of them make the same output, each in its own way
        every = "all trainings in one run are those without --pipelines"
        raise SelectionError(
            f"--pipelines {','.join(asked)}: each writes the report, so run them one after the other; {every}"
        ) from error


def _require(option: str, name: str, known: Iterable[str]) -> None:
    there = set(known)
    if name not in there:
        shown = sorted(one for one in there if one and not one.startswith("params:"))
        raise SelectionError(f"{option}: there is no {name!r:.80}; allowed: {', '.join(shown) or 'none'}")


def require_versions(versions: Mapping[str, str], catalog: CatalogProtocol[Any, Any]) -> None:
    """Refuse versions of datasets that there are not.

    Args:
        versions: by name of the dataset, of `--load-versions`.
        catalog: has all of these datasets.

    Raises:
        SelectionError: one line.
    """
    for name, version in versions.items():
        dataset = catalog.get(name)
        if isinstance(dataset, AbstractVersionedDataset) and not dataset.exists():
            folder = Path(str(dataset._filepath))
            found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
            raise SelectionError(
                f"--load-versions: {name} has no version {version!r:.80}; it has: {', '.join(found) or 'none yet'}"
            )

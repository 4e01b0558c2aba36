"""`hyco list`: what there is to choose from."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hyco.cli.project import experiments_of, project_folder

# Columns of a line.
_WIDTH = 120


@click.command("list")
@click.argument("what", type=click.Choice(["equations", "networks", "experiments"]))
@click.option("--json", "as_json", is_flag=True, help="For programs: all of it, as JSON.")
def listing(what: str, as_json: bool) -> None:
    """List equations, networks or experiments, each with a sentence and its keys."""
    entries = _LISTS[what]()
    if as_json:
        click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    for entry in entries:
        click.echo(click.style(entry["name"], bold=True) + (" (measured)" if entry.get("measured") else ""))
        for text in filter(None, (entry["summary"], *_lines(entry))):
            click.echo(click.wrap_text(text, _WIDTH, "  ", "    "))


def _lines(entry: dict[str, Any]) -> list[str]:
    named = {"parameters": entry.get("parameters"), "keys": entry.get("keys")}
    return [f"{title}: {', '.join(each)}" for title, each in named.items() if each]


def _equations() -> list[dict[str, Any]]:
    from hyco.equations.registry import EQUATIONS

    entries = []
    for name in EQUATIONS.available():
        equation = EQUATIONS.load(name)
        fields = equation.config_class.model_fields
        common = {"name", "domain", "boundary", "dt", "parameters"}
        parameters: Any = fields["parameters"].annotation
        entries.append(
            {
                "name": name,
                "summary": first_sentence(inspect.getdoc(equation)),
                "parameters": list(parameters.model_fields),
                "keys": [key for key in fields if key not in common],
            }
        )
    return entries


def _networks() -> list[dict[str, Any]]:
    from hyco.networks.network import NETWORKS

    entries = []
    for name in NETWORKS.available():
        network = NETWORKS.load(name)
        module = inspect.getdoc(inspect.getmodule(network)) or inspect.getdoc(network)
        keys = [key for key in network.config_class.model_fields if key != "name"]
        entries.append({"name": name, "summary": first_sentence(module), "keys": keys})
    return entries


def _experiments() -> list[dict[str, Any]]:
    project = project_folder()
    return [{"name": name, **_experiment(project / "conf" / name)} for name in experiments_of(project)]


def _experiment(folder: Path) -> dict[str, Any]:
    """What an experiment's first comment says, and whether it reads measurements."""
    import yaml

    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("parameters*.yml"))]
    comment = re.match(r"(?:#.*\n)+", texts[0])
    summary = first_sentence(re.sub(r"^# ?", "", comment[0], flags=re.MULTILINE)) if comment else ""
    try:
        sections = [yaml.safe_load(text) for text in texts]
    except yaml.YAMLError as error:
        return {"summary": f"cannot be read: {' '.join(str(error).split())}", "measured": False}
    return {"summary": summary, "measured": any(isinstance(s, dict) and s.get("measurements") for s in sections)}


def first_sentence(text: str | None) -> str:
    """The first sentence of a text, in one line."""
    paragraph = " ".join((text or "").strip().split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s+(?=[A-Z])", paragraph, maxsplit=1)[0].rstrip(".")


_LISTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "equations": _equations,
    "networks": _networks,
    "experiments": _experiments,
}

"""docs/troubleshooting.md has the messages of what happens around a run, in the words of the program."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGE = (PROJECT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SOURCE = PROJECT / "src" / "hyco"
# Of these files every message is on the page.
COMPLETE = (
    *sorted((SOURCE / "hooks").glob("*.py")),
    *(SOURCE / "runtime" / name for name in ("storage.py", "locks.py")),
    *(SOURCE / "training" / name for name in ("finite.py", "checkpoints.py", "run.py")),
    *(SOURCE / "datasets" / name for name in ("checkpoint.py", "tensor.py", "metrics.py")),
    SOURCE / "config" / "rules" / "memory.py",
)
# Parts of a message that says more, and what only a programmer sees.
NOT_ALONE = 40


def words(text: str) -> str:
    """A message with … for all that varies."""
    return re.sub(r"%\.?\d*[sdgf]|%\.\d+[sg]|\{\w+\}", "…", " ".join(text.split()))


def template(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return words(node.value)
    if isinstance(node, ast.JoinedStr):
        return words("".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values))
    return None


def messages(tree: ast.AST) -> Iterator[str]:
    """What is raised, or logged as a warning, in a file."""
    for node in ast.walk(tree):
        inside: list[ast.AST] = []
        if isinstance(node, ast.Raise) and node.exc is not None:
            inside = [node.exc]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "log.warning":
            inside = list(node.args[:1])
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("message", "text"):
            inside = [node.value]
        for one in inside:
            joined = {id(part) for n in ast.walk(one) if isinstance(n, ast.JoinedStr) for part in n.values}
            for part in ast.walk(one):
                text = None if id(part) in joined else template(part)
                if text is not None and len(text) >= NOT_ALONE:
                    yield text


def listed() -> list[str]:
    """The messages of the page."""
    return [" ".join(text.split()) for text in re.findall(r"^- `([^`]*(?:``[^`]*)*)`$", PAGE, re.MULTILINE)]


@pytest.fixture(scope="module")
def everything() -> str:
    """All texts of the source."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py")))
    return "\n".join(text for tree in trees for node in ast.walk(tree) if (text := template(node)) is not None)


def test_the_page_says_what_the_program_says(everything):
    assert len(listed()) > 40
    for text in listed():
        for part in text.replace("'", "`").split("…"):
            assert part.strip(" .:;()") in everything.replace("'", "`"), text


@pytest.mark.parametrize("path", COMPLETE, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_message_is_on_the_page(path):
    known = [text.replace("'", "`") for text in listed()]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [text for text in messages(tree) if text.replace("`", "`").replace("'", "`") not in known] == []

"""The rules of the house that no other linter knows: `make lint` runs this file, and it says what breaks them.

- A file of src/hyco has at most 400 lines, a class at most 250.
- A class sets at most 12 attributes: `self.x = …` in its methods. Fields of pydantic models and dataclasses, which only
  hold data, do not count.
- Nothing is read that could run code: no pickle, `torch.load`, `yaml.load`, eval, exec, nor arrays of Python objects.
- No file imports itself by way of others. Imports for types alone (`if TYPE_CHECKING`) and those inside of functions
  count: a circle is one however late it closes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

# What runs, or may run, what it reads.
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
UNSAFE_CALLS = {"eval", "exec", "torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
FILE_LINES, CLASS_LINES, ATTRIBUTES = 400, 250, 12
ROOT = Path(__file__).parents[1]


def module_name(path: Path, source: Path) -> str:
    """The dotted name of a file below a package's folder."""
    parts = path.relative_to(source.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def attributes(body: ast.ClassDef) -> set[str]:
    """The attributes that a class's methods set on `self`, without the fields of a dataclass."""
    stored = {
        node.attr
        for method in body.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    if not any("dataclass" in ast.unparse(decorator) for decorator in body.decorator_list):
        return stored
    return stored - {n.target.id for n in body.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}


def oversized(path: Path, tree: ast.Module, lines: int) -> Iterator[str]:
    """What is too large in a file, a line of text each."""
    if lines > FILE_LINES:
        yield f"{path}:1: {lines} lines, allowed are {FILE_LINES}: split it by what it does"
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > CLASS_LINES:
            yield f"{path}:{node.lineno}: class {node.name} has {length} lines, allowed are {CLASS_LINES}"
        if len(own := attributes(node)) > ATTRIBUTES:
            count, names = f"{len(own)} attributes, allowed are {ATTRIBUTES}", ", ".join(sorted(own))
            yield f"{path}:{node.lineno}: class {node.name} sets {count}: {names}"


def unsafe(path: Path, tree: ast.Module) -> Iterator[str]:
    """What could run code that comes from data, a line of text each."""
    for node in ast.walk(tree):
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names if alias.name.split(".")[0] in UNSAFE_MODULES]
        elif isinstance(node, ast.ImportFrom):
            named = [str(node.module)] if str(node.module).split(".")[0] in UNSAFE_MODULES else []
        elif isinstance(node, ast.Call):
            named = [call] if (call := ast.unparse(node.func)) in UNSAFE_CALLS else []
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle" and not (
                    isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                ):
                    named.append("allow_pickle")
        yield from (f"{path}:{getattr(node, 'lineno', 1)}: {name} may run what it reads" for name in named)


def imports(name: str, path: Path, tree: ast.Module, modules: Mapping[str, object]) -> set[str]:
    """The modules of the package that a module imports, anywhere in its text."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            inside = [f"{base}.{alias.name}" for alias in node.names]
            found |= {longer if longer in modules else base for longer in inside}
    return {module for module in found if module in modules and module != name}


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that all reach each other, by Tarjan's algorithm; a module alone is none."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in order:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], order[other])
        if low[module] == order[module]:
            at = stack.index(module)
            group = sorted(stack[at:])
            del stack[at:]
            if len(group) > 1:
                groups.append(group)

    for module in sorted(graph):
        if module not in order:
            visit(module)
    return groups


def violations(source: Path) -> list[str]:
    """Everything below a package's folder that breaks the rules, a line of text each."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(source.rglob("*.py"))}
    trees = {path: ast.parse(text, filename=str(path)) for path, text in texts.items()}
    found = [line for path, tree in trees.items() for line in oversized(path, tree, len(texts[path].splitlines()))]
    found += [line for path, tree in trees.items() for line in unsafe(path, tree)]
    modules = {module_name(path, source): path for path in texts}
    graph = {name: imports(name, path, trees[path], modules) for name, path in modules.items()}
    return found + [
        f"{modules[group[0]]}:1: a circle of imports between {len(group)} files: {', '.join(group)}"
        for group in circles(graph)
    ]


if __name__ == "__main__":
    broken = violations(ROOT / "src" / "hyco")
    sys.exit("\n".join(broken) or 0)

"""Writes configuration.md, the reference of every key, from the models that check the configuration.

Run it after a change of a key:  python docs/make_reference.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hyco.config import RULED_BY_HYBRID, Configuration
from hyco.equations.equation import AxisConfig, EquationConfig
from hyco.equations.registry import EQUATIONS
from hyco.expressions import FUNCTIONS
from hyco.networks.network import NETWORKS
from hyco.parameters import LearnableParameter, Prior
from hyco.walls.boundary import PlainBoundary

DOCS = Path(__file__).parent
REFERENCE = DOCS / "configuration.md"

INTRODUCTION = """\
<!-- Made by docs/make_reference.py: change the descriptions in the code, and run it again. -->

# Configuration

Every key of every section. A run takes `conf/base`, lays the experiment's folder `conf/<experiment>` over it
(`--env`), and last the options of `--params`, with dots for nested keys:

```
kedro run --pipelines hybrid --env burgers_2d --params hybrid.alpha=0.7,seed=3
```

`hyco check --env NAME` says what an experiment trains on what, without training, and `hyco new NAME --from FILE` writes
`conf/NAME/parameters.yml` for a file of measurements, with a comment at every guess.

An unknown key, a wrong type or a value out of range ends the run before anything is computed. The message has one line
per problem: file, key, value and what is allowed. The parameters of a run after all overrides are saved beside its
report as `configuration.yaml`.

*Default* is what holds if the experiment says nothing; *required* means that it has to say it. Units are in brackets.
"""

EQUATION = """\
The problem itself. `parameters` are the true values: they generate the data, and no training sees the values of
those that are learnt. A parameter that is not learnt keeps its true value. What each equation is good for, and its
scheme, is in [equations.md](equations.md). `name` is one of those below, or `module:Class` of
[a file of your own](equations.md#your-own-equation).

A parameter whose type is *number or formula* may vary in space. A formula holds the coordinates x, y and z, numbers,
`pi`, `e`, `+ - * / **`, parentheses and functions:
{functions}.

A *boundary* is a wall for the whole domain or one by axis, where an axis may have two:
`{{x: {{lower: 0.0, upper: neumann}}, y: periodic}}`. A wall is `periodic`, `neumann` (no slope), a number
or formula (the value on the wall), `{{flux: q}}`, `{{robin: {{a, b, c}}}}`, `{{column: name}}`, or a class of your own:
see [equations.md](equations.md#walls). `parameters` may hold numbers that only formulas of walls and sources name.

Every equation has
"""
NETWORK = """\
`synthetic.network` names an architecture and sets its keys. `name` is one of those below, or `module:Class` of
[a file of your own](method.md#your-own-network)."""
OBSERVATION = """\
What is measured of the simulations. The three lists of simulations may not overlap, and the truth of the test
simulations is used by the evaluation alone. Where the initial state is not exact, validation and tests
start from an [estimate](measurements.md#what-models-are-judged-by) by what was measured of it, and by nothing later.
"""
PHYSICAL = """\
Optimisation of the equation's unknown parameters; [inversion.md](inversion.md) is the guide. Each entry of
`learnable_parameters` has one of the kinds below, `scalar` if nothing is said.
"""
HYBRID = """\
The parts `synthetic` and `physical` take any key of the sections of those names, and override it for the hybrid
training only. The exceptions are the keys that the hybrid rules for both models: {ruled}.
"""

_SECTIONS = (
    "generation",
    "observation",
    "synthetic",
    "physical",
    "hybrid",
    "evaluation",
    "compare",
    "compute",
    "predict",
)
_BRIEF = {
    "generation": "Simulations, from random initial states that suit the equation or from given ones.\n",
    "observation": OBSERVATION,
    "synthetic": "Training of the network.\n",
    "physical": PHYSICAL,
    "hybrid": HYBRID.format(ruled=", ".join(f"`{key}`" for key in RULED_BY_HYBRID)),
    "evaluation": "What the pictures show.\n",
    "compare": "What `kedro run --pipelines compare` does; see [comparison.md](comparison.md).\n",
    "compute": "Where trainings of `compare` and chunks of simulations are done; see [scaling.md](scaling.md).\n",
    "predict": "What `kedro run --pipelines predict` does; see [prediction.md](prediction.md).\n",
}
# Parts that are described elsewhere: one row is enough.
_NOT_WALKED = {"hybrid.synthetic", "hybrid.physical", "physical.learnable_parameters[].scalars"}
# Where a subclass narrows a key, pydantic forgets the description of the base class: these are the same everywhere.
_MEANINGS = {
    "name": "name in the registry",
    "boundary": "boundary condition of the domain",
    "mode": "name of the mode",
    "kind": "how it is represented",
}

Row = tuple[str, str, str, str]


def reference() -> str:
    """The whole page."""
    base = _base()
    parts = [INTRODUCTION]
    top = {k: f for k, f in Configuration.model_fields.items() if k not in ("equation", *_SECTIONS)}
    parts += ["## Top level\n", _table(_rows(top, "", base))]
    common = {"domain": EquationConfig.model_fields["domain"]}
    functions = ", ".join(f"`{name}`" for name in FUNCTIONS)
    parts += ["## equation\n", EQUATION.format(functions=functions), _table(_rows(common, "equation", {}))]
    for name in sorted(EQUATIONS.built_in):
        equation = EQUATIONS.load(name)
        own = {k: f for k, f in equation.config_class.model_fields.items() if k not in common}
        parts += [f"### equation: {name}\n", _paragraphs(equation, 1)]
        if isinstance(equation.field_parameters, property):
            parts.append("All parameters may vary in space, and be learnt as fields, but those in walls.\n")
        elif equation.field_parameters:
            names = ", ".join(f"`{p}`" for p in sorted(equation.field_parameters))
            parts.append(f"May vary in space, and be learnt as a field: {names}.\n")
        parts.append(_table(_rows(own, "equation", {})))
    for section in _SECTIONS:
        model = Configuration.model_fields[section].annotation  # type: ignore[assignment]
        parts += [f"## {section}\n", _BRIEF[section]]
        parts.append(_table(_rows(model.model_fields, section, base.get(section, {}))))
        for key, field in model.model_fields.items():
            for mode in _modes(field):
                label = mode.model_fields["mode"]
                parts.append(f"### {section}.{key}: {get_args(label.annotation)[0]}\n")
                if mode.__doc__:
                    parts.append(mode.__doc__.strip().split("\n")[0] + "\n")
                parts.append(_table(_rows(mode.model_fields, f"{section}.{key}", {})))
        if section == "physical":
            for kind in _kinds():
                label = get_args(kind.model_fields["kind"].annotation)[0]
                parts += [f"### physical.learnable_parameters: {label}\n", _paragraphs(kind)]
                parts.append(_table(_rows(kind.model_fields, f"{section}.learnable_parameters[]", {})))
                parts += [f"`{name}`: {_paragraphs(model)}" for name, model in _described(kind)]
        if section == "synthetic":
            parts.append(NETWORK + "\n")
            for name in sorted(NETWORKS.built_in):
                keys = NETWORKS.load(name).config_class.model_fields
                parts += [f"### synthetic.network: {name}\n", _table(_rows(keys, "synthetic.network", {}))]
    return "\n".join(parts)


def _base() -> dict[str, Any]:
    """The parameters in conf/base."""
    found: dict[str, Any] = {}
    for path in sorted((DOCS.parent / "conf" / "base").glob("parameters*.yml")):
        found.update(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    return found


def _kinds() -> list[type[BaseModel]]:
    """The kinds of learnable parameters."""
    return [get_args(member)[0] for member in get_args(get_args(LearnableParameter)[0])]


def _described(kind: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """The keys of a kind that hold a model which only it has, with that model."""
    for name, field in kind.model_fields.items():
        model, _ = _nested(field)
        if model is not None and model is not Prior and model not in _kinds():
            yield name, model


def _paragraphs(documented: type, count: int | None = None) -> str:
    """The first paragraphs of a docstring, or all."""
    text = inspect.cleandoc(documented.__doc__ or "")
    return "\n\n".join(text.split("\n\n")[:count]) + "\n"


def _modes(field: FieldInfo) -> list[type[BaseModel]]:
    """The members of a union that `mode` chooses from."""
    return [m for m in get_args(field.annotation) if isinstance(m, type)] if field.discriminator == "mode" else []


def _rows(fields: Mapping[str, FieldInfo], prefix: str, base: Mapping[str, Any]) -> Iterator[Row]:
    """A row per key, nested models key by key."""
    for name, field in fields.items():
        key = f"{prefix}.{field.alias or name}" if prefix else field.alias or name
        meaning = field.description or _MEANINGS.get(name, "")
        inner, suffix = _nested(field)
        listed = "list" if suffix == "[]" else "mapping"
        if inner is None or key in _NOT_WALKED:
            kind = listed if inner is not None else _type(field.annotation, field.metadata)
            if modes := _modes(field):
                labels = [str(get_args(m.model_fields["mode"].annotation)[0]) for m in modes]
                kind = "`mode`: " + ", ".join(f"`{label}`" for label in labels)
            yield key, kind, _default(field, base.get(name, _MISSING)), meaning
            continue
        optional = NoneType in get_args(field.annotation)
        if suffix or optional:
            kind = listed + " or null" * optional
            yield key, kind, _default(field, base.get(name, _MISSING)), meaning
        nested = base.get(name) if isinstance(base.get(name), Mapping) else None
        if nested is None and isinstance(field.default, BaseModel):
            nested = field.default.model_dump()
        yield from _rows(inner.model_fields, key + suffix, nested or {})


def _nested(field: FieldInfo) -> tuple[type[BaseModel] | None, str]:
    """The model whose keys stand below a key, and how they are reached."""
    origin, arguments = get_origin(field.annotation), get_args(field.annotation)
    given = [a for a in (arguments if origin in (Union, UnionType) else [field.annotation]) if a is not NoneType]
    if len(given) == 1 and isinstance(given[0], type) and issubclass(given[0], BaseModel):
        return given[0], ""
    if origin is list and isinstance(arguments[0], type) and issubclass(arguments[0], BaseModel):
        return arguments[0], "[]"
    if origin is dict and isinstance(arguments[1], type) and issubclass(arguments[1], BaseModel):
        return arguments[1], ".<axis>" if issubclass(arguments[1], AxisConfig) else ".<name>"
    return None, ""


def _type(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """What a value may be, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        own = [b for m in annotation.__metadata__ for b in (m.metadata if isinstance(m, FieldInfo) else [m])]
        return _type(arguments[0], [*own, *metadata])
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in arguments)
    if annotation in (Any, PlainBoundary):
        return "boundary"
    if annotation == list[LearnableParameter]:
        labels = [str(get_args(kind.model_fields["kind"].annotation)[0]) for kind in _kinds()]
        return "list of `kind`: " + ", ".join(f"`{label}`" for label in labels)
    if origin in (Union, UnionType):
        # A text beside a number is a formula.
        words = {str: "formula"} if set(arguments) - {NoneType} == {float, str} else {}
        found = ["null" if a is NoneType else words.get(a) or _type(a, metadata) for a in arguments]
        return " or ".join(dict.fromkeys(found))
    if origin is list or (origin is tuple and Ellipsis in arguments):
        return f"list of {_type(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join(_type(a) for a in arguments)}]"
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    words = {bool: "true \\| false", int: "integer", float: "number", str: "text"}
    return words.get(annotation, "any") + _limits(metadata)


def _limits(metadata: Iterable[Any]) -> str:
    """Bounds of a number; where there are two on one side, the tighter."""
    found: dict[str, Any] = {}
    for bound in metadata:
        for attribute, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            value = getattr(bound, attribute, None)
            if value is not None:
                found[sign] = value
    if "≥" in found and found.get(">", found["≥"]) < found["≥"]:
        del found[">"]
    return "".join(f" {sign} {value:g}" for sign, value in found.items()).replace(" ≤", ", ≤", bool(len(found) > 1))


_MISSING = object()


def _default(field: FieldInfo, base: Any) -> str:
    """What holds if nobody says anything: conf/base first, then the model."""
    if base is _MISSING and field.is_required():
        return "*required*"
    value = field.get_default(call_default_factory=True) if base is _MISSING else base
    if isinstance(value, BaseModel):
        value = value.model_dump()
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    """A value as YAML would have it, in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_plain(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_plain, value)) + "]"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, str):
        return value or '""'
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(rows: Iterable[Row]) -> str:
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for key, kind, default, meaning in rows:
        lines.append(f"| `{key}` | {kind} | {default} | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")

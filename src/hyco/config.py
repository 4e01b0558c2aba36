"""The root model: every section of the parameters, validated at once, with errors that say where and what.

Each part owns its own parameter model, in its own file; this module only finds them by name, puts them together and
checks what concerns two of them.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails

from hyco.comparison import CompareConfig, Contender
from hyco.equations.elliptic import StaticConfig
from hyco.equations.equation import Equation, EquationConfig
from hyco.equations.registry import OtherStatesError, build_equation, equation_config, model_equation
from hyco.hybrid.config import HybridConfig
from hyco.networks.network import network_config
from hyco.observations import ObservationConfig
from hyco.observations.cells import CellsMode
from hyco.parameters.space import KINDS
from hyco.runtime.random_streams import stream
from hyco.sections import merge
from hyco.stepping.generation import GenerationConfig
from hyco.training.checkpoints import differences
from hyco.training.physical import PhysicalConfig
from hyco.training.synthetic import SyntheticConfig
from hyco.training.validation import StoppingConfig

# Keys that the hybrid rules for both models, so that its `synthetic` and `physical` parts may not have their own.
_RULED_BY_HYBRID = (
    "num_predict_steps",
    "epochs",
    "validate_every",
    "validation_rollout",
    "save_interval",
    "save_best_only",
    "early_stopping",
)
# Keys of `synthetic` that mean nothing to a network of the coordinates.
_OF_STEPPING = (
    "use_sliding_window",
    "curriculum",
    "backpropagation_steps",
    "input_noise",
    "precision",
    "gradient_checkpointing",
)

# Keys of the hybrid that no result depends on: a resumed run may change them.
WITHOUT_EFFECT = ("checkpoint_dir", "enable_memory_monitoring")


class ConfigurationError(ValueError):
    """The configuration is wrong; the message has one line per problem."""


class EvaluationConfig(BaseModel):
    """Keys of the `evaluation` section."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    simulation: NonNegativeInt = Field(default=0, description="which of test_sim the pictures show, by position")
    channel: NonNegativeInt = Field(default=0, description="which channel the pictures show")
    # What a GIF can say of 60 frames: at most 655 s each, also of equal ones together, and no less than 0.02 s.
    frames_per_second: float = Field(default=10.0, ge=0.1, le=50, description="speed of the animation")


class Configuration(BaseModel):
    """Everything that describes an experiment."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    experiment: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name, and folder of all outputs")
    notes: str = Field(default="", description="free text that goes with the run")
    # Strict where the pipelines take the value as it stands: a text like "3" or "no" is none of these.
    seed: NonNegativeInt = Field(default=0, strict=True, description="seed of all random streams")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where the models run")
    threads: PositiveInt | None = Field(
        default=None, strict=True, description="CPU threads of torch; null: as many as cores"
    )
    resume: bool = Field(
        default=False, strict=True, description="continue the last checkpoint of the same configuration"
    )
    profile: bool = Field(
        default=False, strict=True, description="record which tensor operators the trainings spend their time in"
    )
    equation: EquationConfig
    generation: GenerationConfig
    observation: ObservationConfig
    synthetic: SyntheticConfig
    physical: PhysicalConfig
    hybrid: HybridConfig
    evaluation: EvaluationConfig = Field(default=EvaluationConfig())
    compare: CompareConfig = Field(default=CompareConfig())

    @field_validator("equation", mode="before")
    @classmethod
    def _equation_by_name(cls, value: Any) -> Any:
        return equation_config(dict(value)) if isinstance(value, Mapping) else value


def parse_device(name: str) -> torch.device:
    """The torch device of `device: auto | cpu | cuda`.

    Raises:
        ConfigurationError: cuda is asked for where there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("device: 'cuda' is not available here; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def is_measured(metadata: Mapping[str, Any]) -> bool:
    """Whether trajectories or observations are a user's own: those that the pipelines make have an `origin`."""
    return "origin" not in metadata


def check_origin(metadata: Mapping[str, Any], sections: Mapping[str, Any]) -> None:
    """Refuse simulations that were not made with these sections: a report would state other truths than theirs.

    Args:
        metadata: of the trajectories; what was measured has no origin to check.

    Raises:
        ConfigurationError: names each key that differs, with both values.
    """
    if is_measured(metadata):
        return
    then, now = (json.loads(json.dumps(found)) for found in (metadata["origin"], sections))  # as files have them
    with suppress(ValueError):  # an earlier version had other keys: then what is written counts
        then, now = _complete(then), _complete(now)
    changed = [f"{key}: {old!r} there, {new!r} now" for key, old, new in differences(then, now)]
    if changed:
        raise ConfigurationError(
            f"the simulations are of another configuration ({'; '.join(changed)}). Evaluate with its values, or run "
            "the training too."
        )


def _complete(origin: Mapping[str, Any]) -> dict[str, Any]:
    """The origin of simulations, with the default of every key that is left out."""
    models = {
        "equation": equation_config(origin["equation"]),
        "generation": GenerationConfig.model_validate(origin["generation"]),
    }
    return {**origin, **{name: model.model_dump(mode="json") for name, model in models.items()}}


def resolve_hybrid(
    hybrid: Mapping[str, Any], synthetic: Mapping[str, Any], physical: Mapping[str, Any]
) -> dict[str, Any]:
    """The hybrid section with its `synthetic` and `physical` parts laid over the sections of those names."""
    ruled = {k: hybrid[k] for k in _RULED_BY_HYBRID if k in hybrid}
    parts = {"synthetic": synthetic, "physical": physical}
    resolved = {name: {**merge(part, hybrid.get(name) or {}), **ruled} for name, part in parts.items()}
    resolved["physical"].pop("early_stopping", None)  # a key of networks
    if resolved["physical"].get("max_iterations") is None and "epochs" in physical:
        # Null means as many as the section's own epochs, which the hybrid's have just replaced.
        resolved["physical"]["max_iterations"] = physical["epochs"]
    filled = dict(hybrid)
    calibrated = hybrid.get("sequential") or hybrid.get("correction") not in (None, False)
    if calibrated and hybrid.get("calibration_iterations") is None:
        filled["calibration_iterations"] = physical.get("epochs", PhysicalConfig.model_fields["epochs"].default)
    return {**filled, **resolved}


def contenders(parameters: Mapping[str, Any]) -> list[Contender]:
    """What the section `compare` asks for, each with its own parameters.

    Args:
        parameters: all sections, validated.
    """
    found = []
    for name, (method, sections) in _compared(parameters).items():
        own = {key: sections[key] for key in ("equation", "generation", "observation")}
        if method in ("synthetic", "physical"):
            own[method] = sections[method]
        elif method == "pinn":
            own["pinn"] = {
                **sections["compare"].get("pinn", {}),
                "network": sections["synthetic"]["network"],
                "learnable_parameters": sections["physical"]["learnable_parameters"],
                "equation": sections["physical"].get("equation", {}),
            }
        elif method != "persistence":
            resolved = resolve_hybrid(sections["hybrid"], sections["synthetic"], sections["physical"])
            own["hybrid"] = {key: value for key, value in resolved.items() if key not in WITHOUT_EFFECT}
        found.append(Contender(name, method, own))
    return found


def _compared(parameters: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """By name, the method of everything compared, and the parameters with what it changes."""
    config = CompareConfig.model_validate(parameters.get("compare") or {})
    found = {}
    for name, (method, layers) in config.overrides(parameters).items():
        sections = dict(parameters)
        for layer in layers:
            sections = merge(sections, layer)
        found[name] = method, sections
    return found


def parse(parameters: Mapping[str, Any]) -> Configuration:
    """The validated configuration of a run.

    Raises:
        ConfigurationError: something is wrong; one line per problem.
    """
    found = list(_problems(parameters))
    if found:
        raise ConfigurationError("\n".join(f"{'.'.join(map(str, path))}: {text}" for path, text in found))
    return _build(parameters)


def check(parameters: Mapping[str, Any], sources: Mapping[str, Mapping[str, Any]]) -> None:
    """Validate parameters, and say which file each problem is in.

    Args:
        parameters: as the run will see them.
        sources: the content of each file that parameters come from, later ones over earlier ones.

    Raises:
        ConfigurationError: one line per problem: file, key, value and what is allowed.
    """
    lines = []
    for path, text in _problems(parameters):
        key = ".".join(map(str, path))
        lines.append(f"{_source(path, sources)}: {key}: {text}")
    if lines:
        raise ConfigurationError("\n".join(lines))


Path = tuple[str | int, ...]


def _build(parameters: Mapping[str, Any]) -> Configuration:
    data = dict(parameters)
    if all(isinstance(data.get(k), Mapping) for k in ("hybrid", "synthetic", "physical")):
        data["hybrid"] = resolve_hybrid(data["hybrid"], data["synthetic"], data["physical"])
    return Configuration.model_validate(data)


def _problems(parameters: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """Where the configuration is wrong, and why."""
    found: list[tuple[Path, str]] = []
    hybrid = parameters.get("hybrid")
    if isinstance(hybrid, Mapping):
        for part in ("synthetic", "physical"):
            section = hybrid.get(part)
            for key in _RULED_BY_HYBRID:
                if isinstance(section, Mapping) and key in section:
                    found.append((("hybrid", part, key), f"{section[key]!r} is not allowed here; set hybrid.{key}"))
    try:
        configuration = _build(parameters)
    except ValidationError as error:
        details = error.errors(include_url=False)
        own = {tuple(d["loc"]) for d in details}
        texts: dict[Path, list[str]] = {path: [text] for path, text in found}
        for detail in details:
            path = _original(tuple(detail["loc"]), parameters, own)
            if path is not None and (text := _explain(detail, path)) not in texts.setdefault(path, []):
                texts[path].append(text)
        # A key that may be one of two things has a problem with each.
        return [(path, "; or: ".join(each)) for path, each in texts.items()]
    found += _cross_checks(configuration)
    # A variant is checked as if the experiment were like that, once the experiment itself is right.
    return found or _variant_problems(parameters, configuration)


def _variant_problems(parameters: Mapping[str, Any], c: Configuration) -> list[tuple[Path, str]]:
    """What is wrong with the overrides of variants, and methods that cannot be."""
    found: list[tuple[Path, str]] = []
    for name, (method, sections) in _compared(parameters).items():
        variant: Path = ("compare", "variants", name)
        # Without a list the methods are those that apply.
        chosen = name in c.compare.variants or c.compare.methods is not None
        problems = _problems({**sections, "compare": {}}) if chosen else []
        if name in c.compare.variants:
            found += [((*variant, "overrides", *path), text) for path, text in problems]
        else:
            found += [(("compare", "methods"), f"{name} cannot be: {'.'.join(map(str, p))}: {t}") for p, t in problems]
        if chosen and not problems and method == "pinn" and (text := _why_no_pinn(sections)):
            found.append((variant if name in c.compare.variants else ("compare", "methods"), text))
    return found


def _why_no_pinn(sections: Mapping[str, Any]) -> str | None:
    """Why no physics-informed network can be trained on valid sections; None where one can."""
    network = sections["synthetic"]["network"]
    if network_config(network).stepping:
        return f"pinn needs a network of coordinates, synthetic.network is {network['name']}: take mlp"
    for p in PhysicalConfig.model_validate(sections["physical"]).learnable_parameters:
        if p.regularised is not None and p.chooses_weight:
            return f"pinn needs a number as regularisation.weight of {p.name}, which is {p.regularised.weight}"
    return None


def _original(path: Path, parameters: Mapping[str, Any], all_paths: set[Path]) -> Path | None:
    """Where the user wrote what pydantic complains about; None for the echo of a problem in a merged section."""
    filled = ("hybrid", "calibration_iterations")
    if path == filled and ("physical", "epochs") in all_paths and filled[1] not in parameters["hybrid"]:
        return None
    if len(path) > 2 and path[0] == "hybrid" and path[1] in ("synthetic", "physical"):
        ruled = path[2] in _RULED_BY_HYBRID and ("hybrid", path[2]) in all_paths
        if ruled or path[1:] in all_paths:
            return None
    return tuple(p for i, p in enumerate(path) if not _is_union_tag(path, i))


def _is_union_tag(path: Path, index: int) -> bool:
    """Pydantic names the chosen member of a union in the path: observation.space.points.count."""
    if index == 2 and path[:2] == ("hybrid", "alpha"):
        return True
    if index == 2 and path[0] == "observation" and path[1] in ("space", "time"):
        return True
    return index >= 2 and path[index - 2] == "learnable_parameters" and path[index] in KINDS


def _explain(detail: ErrorDetails, path: Path) -> str:
    """One problem in one line: the value, and what is allowed."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx") or {}
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"unknown key (value {value!r}); allowed: {_allowed_keys(path)}"
    if kind == "literal_error":
        return f"{value!r} is not allowed; allowed: {context['expected']}"
    if kind == "union_tag_invalid":
        return f"mode {context['tag']!r} is not allowed; allowed: {context['expected_tags']}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{value!r} is not allowed; allowed: keys with values"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if kind == "value_error":
        return message
    return f"{value!r}: {message}"


def _allowed_keys(path: Path) -> str:
    """The keys of the section that an unknown key stands in, the nearest first."""
    model: Any = Configuration
    for part in path[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return "see the reference of this section"
        model = field.annotation
    names = sorted(field.alias or name for name, field in getattr(model, "model_fields", {}).items())
    if not names:
        return "see the reference of this section"
    near = difflib.get_close_matches(str(path[-1]), names, n=1)
    return ", ".join(names) + (f" (did you mean {near[0]}?)" if near else "")


def _cross_checks(c: Configuration) -> list[tuple[Path, str]]:
    """What one section demands of another."""
    found: list[tuple[Path, str]] = []
    equation = build_equation(c.equation)
    layout = equation.layout
    for section, physical in (("physical", c.physical), ("hybrid.physical", c.hybrid.physical)):
        parts = tuple(section.split("."))
        path: Path = (*parts, "learnable_parameters")
        own, wrong = _own_equation(equation, physical)
        if own is None:
            found += [((*parts, *key), text) for key, text in wrong]
            continue
        limits = getattr(own, "config").parameter_limits  # noqa: B009 (in subclasses)
        name = getattr(own, "config").name  # noqa: B009
        seen = set()
        for i, p in enumerate(physical.learnable_parameters):
            if p.name not in limits:
                known = ", ".join(limits)
                found.append(((*path, i, "name"), f"{p.name!r} is no parameter of {name}; it has: {known}"))
                continue
            if p.name in seen:
                found.append(((*path, i, "name"), f"{p.name!r} is there twice"))
            seen.add(p.name)
            if p.is_field and p.name not in own.field_parameters:
                text = f"{p.name!r} of {name} is a number; it cannot be learnt as a field"
                found.append(((*path, i, "kind"), text))
                continue
            problem = p.check(limits[p.name], own.layout.grid)
            if problem is not None:
                key, text = problem
                found.append(((*path, i, key), text))
        if c.observation.initial_state == "observed" and physical.initial_state is None:
            text = "is needed where observation.initial_state is observed: {length_scale, amplitude} of the states"
            found.append(((*parts, "initial_state"), text))
        if physical.initial_state is not None and layout.shape != layout.grid.resolution:
            text = f"a prior of initial states is for centred fields; {c.equation.name} has staggered ones: null"
            found.append(((*parts, "initial_state"), text))
    networks: list[tuple[Path, dict[str, Any]]] = [(("synthetic", "network"), c.synthetic.network)]
    if c.hybrid.synthetic.network != c.synthetic.network:
        networks.append((("hybrid", "synthetic", "network"), c.hybrid.synthetic.network))
    if c.hybrid.correction is not None and c.hybrid.correction.network is not None:
        networks.append((("hybrid", "correction", "network"), c.hybrid.correction.network))
    for path, network in networks:
        problem = network_config(network).check(layout.shape, layout.boundaries)
        if problem is not None:
            key, text = problem
            found.append(((*path, key), text))
    for channel in c.generation.initial_state:
        if channel not in layout.channels:
            text = f"is no channel of {c.equation.name}; it has: {', '.join(layout.channels)}"
            found.append((("generation", "initial_state", channel), text))
    simulations = c.generation.simulations
    for key in ("train_sim", "val_sim", "test_sim"):
        for index in getattr(c.observation, key):
            if index >= simulations:
                allowed = f"generation.simulations is {simulations}: 0 to {simulations - 1}"
                found.append((("observation", key), f"simulation {index} does not exist; {allowed}"))
    for section, steps in (
        ("synthetic", c.synthetic.num_predict_steps),
        ("physical", c.physical.num_predict_steps),
        ("hybrid", c.hybrid.num_predict_steps),
    ):
        if steps > c.generation.steps:
            text = f"{steps} is longer than a simulation; allowed: 1 to generation.steps = {c.generation.steps}"
            found.append(((section, "num_predict_steps"), text))
    found += _observation_problems(c)
    found += _interaction_problems(c)
    found += _coordinate_problems(c)
    h = c.hybrid
    if h.warmup_epochs > h.epochs:
        text = f"{h.warmup_epochs} is more than hybrid.epochs = {h.epochs}, which includes the warm-up"
        found.append((("hybrid", "warmup_epochs"), text))
    first = h.warmup_epochs + h.interleave_frequency  # epoch of the first update
    learnt = h.physical.learnable_parameters
    chosen = [p.name for p in learnt if p.chooses_weight]
    numbers = [name for p in learnt for name in p.scalar_parts()]
    if chosen and numbers and first > h.epochs and not h.sequential and h.correction is None:
        text = (
            f"{h.epochs} leaves the physical model no update, in which the regularisation.weight of {chosen[0]} would "
            f"be chosen, and without it {numbers[0]} has no standard deviation; allowed: at least warmup_epochs + "
            f"interleave_frequency = {first}, or a number as weight"
        )
        found.append((("hybrid", "epochs"), text))
    if c.observation.test_sim and c.evaluation.simulation >= len(c.observation.test_sim):
        text = f"{c.evaluation.simulation} is no position in observation.test_sim = {c.observation.test_sim}"
        found.append((("evaluation", "simulation"), text))
    if c.evaluation.channel >= len(layout.channels):
        numbered = ", ".join(f"{i} ({channel})" for i, channel in enumerate(layout.channels))
        text = f"{c.evaluation.channel} is no channel of {c.equation.name}; allowed: {numbered}"
        found.append((("evaluation", "channel"), text))
    echoes = {path[1:] for path, _ in found if path[0] == "physical"}
    return [(path, text) for path, text in found if not (path[:2] == ("hybrid", "physical") and path[2:] in echoes)]


def _interaction_problems(c: Configuration) -> list[tuple[Path, str]]:
    """Rollouts that are too short or too long, and choices that need validation simulations."""
    found: list[tuple[Path, str]] = []
    h, longest = c.hybrid, c.generation.steps
    if h.observed_steps is not None and h.observed_steps > longest:
        text = f"{h.observed_steps} is longer than a simulation; allowed: 1 to generation.steps = {longest}"
        found.append((("hybrid", "observed_steps"), text))
    if h.interaction.count and isinstance(c.equation, StaticConfig):
        text = (
            f"{h.interaction.count} is not allowed; allowed: 0: {c.equation.name} is a static problem, "
            "which has no initial states"
        )
        found.append((("hybrid", "interaction", "count"), text))
    steps = h.interaction.steps
    if steps is not None and steps < h.num_predict_steps:
        text = f"{steps} is shorter than a window; allowed: at least hybrid.num_predict_steps = {h.num_predict_steps}"
        found.append((("hybrid", "interaction", "steps"), text))
    if not c.observation.val_sim:
        sections: dict[str, StoppingConfig] = {"synthetic": c.synthetic, "hybrid": h}
        for section, config in sections.items():
            if config.early_stopping is not None:
                text = f"{config.early_stopping} needs validation simulations: see observation.val_sim; or null"
                found.append(((section, "early_stopping"), text))
    return found


def _own_equation(equation: Equation, physical: PhysicalConfig) -> tuple[Equation | None, list[tuple[Path, str]]]:
    """The equation that the physical model believes in, or what is wrong with it, by key of its section."""
    try:
        return model_equation(equation, physical.equation, physical.resolution), []
    except OtherStatesError as error:
        return None, [((error.key,), str(error))]
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, [(("equation", *d["loc"]), _explain(d, ("equation", *d["loc"]))) for d in details]
    except ValueError as error:
        return None, [(("equation",), str(error))]


def _coordinate_problems(c: Configuration) -> list[tuple[Path, str]]:
    """Why a coordinate network cannot serve: it knows one trajectory of centred fields, as a whole."""
    found: list[tuple[Path, str]] = []
    layout = build_equation(c.equation).layout
    random = [channel for channel in layout.channels if channel not in c.generation.initial_state]
    if isinstance(c.equation, StaticConfig) or c.generation.simulations == 1:
        random = []
    sections: list[tuple[Path, SyntheticConfig]] = [(("synthetic",), c.synthetic)]
    sections.append((("hybrid", "synthetic"), c.hybrid.synthetic))
    for path, section in sections:
        network = network_config(section.network)
        if network.stepping:
            continue
        if layout.shape != layout.grid.resolution:
            text = f"{network.name} is for centred fields; {c.equation.name} has staggered ones"
            found.append(((*path, "network", "name"), text))
        if random:
            text = (
                f"{network.name} maps (x, t) to one trajectory, but the simulations start from random states: give "
                f"{', '.join(random)} in generation.initial_state, or use a network that steps states"
            )
            found.append(((*path, "network", "name"), text))
        for key in _OF_STEPPING:
            default = SyntheticConfig.model_fields[key].default
            if getattr(section, key) != default:
                text = f"is for networks that step states, not for {network.name}; allowed: {_plain(default)}"
                found.append(((*path, key), text))
        steps = (c.hybrid if path[0] == "hybrid" else c.synthetic).num_predict_steps
        if steps < c.generation.steps:
            text = f"{steps} is a part of the trajectory, of which {network.name} predicts all: set it to "
            found.append(((path[0], "num_predict_steps"), f"{text}generation.steps = {c.generation.steps}"))
    if c.hybrid.interaction.count and not network_config(c.hybrid.synthetic.network).stepping:
        count = c.hybrid.interaction.count
        text = f"{count} fresh starts are for networks that step states; allowed: 0 (see ghost_points)"
        found.append((("hybrid", "interaction", "count"), text))
    echoes = {("hybrid", *path) for path, _ in found}
    return [(path, text) for path, text in found if path not in echoes]


def _plain(value: Any) -> str:
    """A value as YAML has it."""
    return "null" if value is None else str(value).lower()


def _observation_problems(c: Configuration) -> list[tuple[Path, str]]:
    """Sensors and times that do not exist, or that leave a training without data."""
    found: list[tuple[Path, str]] = []
    times = list(range(c.generation.steps + 1))
    try:
        times = c.observation.time.indices(c.generation.steps)
    except ValueError as error:
        found.append((("observation", "time"), str(error)))
    try:
        space = c.observation.space
        space.check(c.equation.grid, len(times))
        layout = build_equation(c.equation).layout
        if isinstance(space, CellsMode) and not space.cells(layout, stream(0, "sensors")).any():
            extents = zip(layout.grid.axes, layout.grid.lower, layout.grid.size, strict=True)
            domain = ", ".join(f"{axis} from {lower:g} to {lower + size:g}" for axis, lower, size in extents)
            found.append((("observation", "space"), f"no cell lies there; the domain is {domain}"))
    except ValueError as error:
        found.append((("observation", "space"), str(error)))
    h = c.hybrid
    own = (
        ("num_predict_steps", h.num_predict_steps) if h.observed_steps is None else ("observed_steps", h.observed_steps)
    )
    for section, (key, steps) in (
        ("physical", ("num_predict_steps", c.physical.num_predict_steps)),
        ("hybrid", own),
    ):
        if not any(1 <= t <= steps for t in times):
            text = f"{steps} is too short: observation.time has no state in the first {steps} steps after t = 0"
            found.append(((section, key), text))
    return found


def _source(path: Path, sources: Mapping[str, Mapping[str, Any]]) -> str:
    """The last file that has the key, or as much of its path as any file has."""
    best, depth = "parameters", 0
    for name, content in sources.items():
        reached, node = 0, content
        for part in path:
            try:
                node = node[part]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                break
            reached += 1
        if reached and reached >= depth:
            best, depth = name, reached
    return best

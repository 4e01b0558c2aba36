"""Sections of the configuration, as dictionaries or their models: validated, with the configuration's own messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError, create_model

from hyco.config import ConfigurationError, mistakes_in
from hyco.config.errors import Mistake, dotted
from hyco.config.messages import own_mistakes
from hyco.equations.equation import Equation
from hyco.observations import Observations

M = TypeVar("M", bound=BaseModel)
Section = Mapping[str, Any] | BaseModel

_LEARN = ("physical", "learnable_parameters")


def as_dictionary(section: Section, name: str) -> dict[str, Any]:
    """A section as a dictionary of its keys.

    Raises:
        ConfigurationError: it is neither a dictionary nor a model.
    """
    if isinstance(section, BaseModel):
        return section.model_dump()
    if not isinstance(section, Mapping):
        raise ConfigurationError(f"{name}: {section!r} is not allowed; allowed: keys with values")
    return dict(section)


def validated(model: type[M], section: Section, name: str) -> M:
    """A section as its model.

    Args:
        model: that of the section.
        section: a dictionary, or the model already.
        name: of the section, as messages begin with.

    Raises:
        ConfigurationError: one line per problem, with the key and what is allowed.
    """
    if isinstance(section, model):
        return section
    given = {name: as_dictionary(section, name)}
    root = create_model("Sections", **{name: (model, ...)})  # type: ignore[call-overload]
    try:
        return getattr(root.model_validate(given), name)  # type: ignore[no-any-return]
    except ValidationError as error:
        raise _refusal(own_mistakes(error, root, given)) from error


def require_sound(sections: Mapping[str, Any], equation: Equation, observations: Observations) -> None:
    """Refuse sections that are wrong by themselves, or do not fit to the equation and the data.

    Args:
        sections: `physical`, or with it `synthetic` and `hybrid`.
        equation: that of the data.
        observations: what was measured.

    Raises:
        ConfigurationError: one line per problem, with the key and what is allowed.
    """
    steps = observations.steps
    every = {
        "experiment": "python",
        "equation": equation.config,
        "generation": {
            "simulations": len(observations.values),
            "steps": steps,
            # A channel that starts alike everywhere is not random.
            "initial_state": dict.fromkeys(_common_starts(observations), 0.0),
        },
        "observation": {
            "train_sim": observations.train,
            "val_sim": observations.val,
            "initial_state": observations.initial_state,
            "holdout": None if observations.heldout is None else {},
        },
        # What nobody asked for does no harm.
        "synthetic": {"network": {"name": "resnet"}, "num_predict_steps": 1},
        "hybrid": {"num_predict_steps": steps},
        **sections,
    }
    wrong = [(path, text) for path, text in mistakes_in(every) if path and path[0] in sections]
    if wrong:
        raise _refusal(wrong)


def _common_starts(observations: Observations) -> list[str]:
    """Channels whose initial state is the same in all simulations."""
    starts = observations.initial_states
    same = (starts == starts[:1]).transpose(0, 1).flatten(1).all(dim=1)
    return [name for name, alike in zip(observations.layout.channels, same.tolist(), strict=True) if alike]


def plain(section: BaseModel) -> dict[str, Any]:
    """A section as JSON values, for files."""
    return section.model_dump(mode="json")


def last_measured_step(observations: Observations) -> int:
    """The last step after t = 0 of which anything was measured in the training simulations."""
    seen = observations.mask[observations.train].transpose(0, 1).flatten(1).any(dim=1)
    return max(int(torch.nonzero(seen).max()) if bool(seen.any()) else 0, 1)


def _refusal(wrong: Iterable[Mistake]) -> ConfigurationError:
    """Each problem once; unknown parameters are an argument here."""
    wrong = [(("learn", *path[2:]) if path[:2] == _LEARN else path, text) for path, text in wrong]
    return ConfigurationError("\n".join(dict.fromkeys(f"{dotted(path)}: {text}" for path, text in wrong)))

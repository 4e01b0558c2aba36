"""Sections laid over each other: the hybrid's parts over the models' own, and what a comparison changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyco.comparison import CompareConfig, Contender
from hyco.sections import merge
from hyco.training.physical import PhysicalConfig

# Keys that the hybrid rules for both models, so that its `synthetic` and `physical` parts may not have their own.
RULED_BY_HYBRID = (
    "num_predict_steps",
    "epochs",
    "validate_every",
    "validation_rollout",
    "save_interval",
    "save_best_only",
    "early_stopping",
)

# Keys of the hybrid that no result depends on: a resumed run may change them.
WITHOUT_EFFECT = ("checkpoint_dir", "enable_memory_monitoring")


def resolve_hybrid(
    hybrid: Mapping[str, Any], synthetic: Mapping[str, Any], physical: Mapping[str, Any]
) -> dict[str, Any]:
    """The hybrid section with its `synthetic` and `physical` parts laid over the sections of those names."""
    ruled = {k: hybrid[k] for k in RULED_BY_HYBRID if k in hybrid}
    parts = {"synthetic": synthetic, "physical": physical}
    given = {name: hybrid.get(name) or {} for name in parts}
    resolved = {name: {**merge(part, _keys(given[name])), **ruled} for name, part in parts.items()}
    resolved["physical"].pop("early_stopping", None)  # a key of networks
    if resolved["physical"].get("max_iterations") is None and "epochs" in physical:
        # Null means as many as the section's own epochs, which the hybrid's have just replaced.
        resolved["physical"]["max_iterations"] = physical["epochs"]
    filled = dict(hybrid)
    calibrated = hybrid.get("sequential") or hybrid.get("correction") not in (None, False)
    calibrated = calibrated or hybrid.get("strategy") == "auto"
    if calibrated and hybrid.get("calibration_iterations") is None:
        filled["calibration_iterations"] = physical.get("epochs", PhysicalConfig.model_fields["epochs"].default)
    # What is no section stays as it is: its model says so.
    return {**filled, **resolved, **{name: part for name, part in given.items() if not isinstance(part, Mapping)}}


def _keys(section: Any) -> Mapping[str, Any]:
    return section if isinstance(section, Mapping) else {}


def contenders(parameters: Mapping[str, Any]) -> list[Contender]:
    """What the section `compare` asks for, each with its own parameters.

    Args:
        parameters: all sections, validated.
    """
    compared = []
    for name, (method, sections) in compared_sections(parameters).items():
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
        compared.append(Contender(name, method, own))
    return compared


def compared_sections(parameters: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """By name, the method of everything compared, and the parameters with what it changes."""
    config = CompareConfig.model_validate(parameters.get("compare") or {})
    compared = {}
    for name, (method, layers) in config.overrides(parameters).items():
        sections = dict(parameters)
        for layer in layers:
            sections = merge(sections, layer)
        compared[name] = method, sections
    return compared

"""What the nodes of the evaluation share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyco.parameters import LearnableParameter
    from hyco.runtime.storage import Bundle


def units_of(bundle: Bundle) -> dict[str, str]:
    """Units of the time, the axes and the channels, as far as the file of the measurements has them."""
    units: dict[str, str] = (bundle.metadata.get("origin") or {}).get("units", {})
    return units


def learnt_parameters(physical: dict[str, Any], hybrid: dict[str, Any]) -> dict[str, list[LearnableParameter]]:
    """The parameters that each physical model learns, by method: the hybrid may have others."""
    from hyco.config import resolve_hybrid
    from hyco.training.physical import PhysicalConfig

    sections = {"physical": physical, "hybrid_physical": resolve_hybrid(hybrid, {}, physical)["physical"]}
    return {method: PhysicalConfig.model_validate(s).learnable_parameters for method, s in sections.items()}

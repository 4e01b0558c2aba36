"""Synthetic models of either kind from the files that hold them."""

from __future__ import annotations

from hyco.networks import coordinate_model, synthetic
from hyco.networks.coordinate_model import CoordinateModel
from hyco.networks.synthetic import SyntheticModel
from hyco.runtime.storage import Bundle

NetworkModel = SyntheticModel | CoordinateModel

_KINDS: dict[str, type[SyntheticModel] | type[CoordinateModel]] = {
    synthetic.KIND: SyntheticModel,
    coordinate_model.KIND: CoordinateModel,
}


def model_from_bundle(bundle: Bundle) -> NetworkModel:
    """The network of a final model, of the kind that its metadata name.

    Raises:
        ValueError: the bundle holds no network.
    """
    kind = str(bundle.metadata.get("kind"))
    if kind not in _KINDS:
        raise ValueError(f"the file holds {kind!r}; a network is one of: {', '.join(sorted(_KINDS))}")
    return _KINDS[kind].from_bundle(bundle)

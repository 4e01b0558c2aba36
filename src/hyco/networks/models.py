"""The kinds of network models: which of them a network makes, and models from the files that hold them."""

from __future__ import annotations

from hyco.networks import coordinate_model, synthetic
from hyco.networks.coordinate_model import CoordinateModel
from hyco.networks.network import NetworkConfig
from hyco.networks.network_model import NetworkModel
from hyco.networks.synthetic import SyntheticModel
from hyco.runtime.storage import Bundle

_KINDS: dict[str, type[NetworkModel]] = {synthetic.KIND: SyntheticModel, coordinate_model.KIND: CoordinateModel}


def kind_of(config: NetworkConfig) -> str:
    """The kind of model that a network makes, as its file names it."""
    return synthetic.KIND if config.stepping else coordinate_model.KIND


def model_from_bundle(bundle: Bundle) -> NetworkModel:
    """The network of a final model, of the kind that its metadata name.

    Raises:
        ValueError: the bundle holds no network.
    """
    kind = str(bundle.metadata.get("kind"))
    if kind not in _KINDS:
        raise ValueError(f"the file holds {kind!r}; a network is one of: {', '.join(sorted(_KINDS))}")
    return _KINDS[kind].from_bundle(bundle)

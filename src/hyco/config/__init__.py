"""The configuration: all sections are checked together before anything runs, and each mistake is named with its key.

Each part owns its own parameter model, in its own file; this room finds them by name, puts them together, and checks
what concerns two of them (`rules`).
"""

from hyco.config.completion import complete, is_of_measurements, measurements_section
from hyco.config.errors import ConfigurationError
from hyco.config.origin import check_origin, depends_on, identity, identity_of_section, is_measured, is_own
from hyco.config.resolution import RULED_BY_HYBRID, WITHOUT_EFFECT, contenders, resolve_hybrid
from hyco.config.root import Configuration, EvaluationConfig, parse_device
from hyco.config.validation import check, data_bytes, mistakes_in, parse, require_same_observations, warn_without_effect

__all__ = [
    "RULED_BY_HYBRID",
    "WITHOUT_EFFECT",
    "Configuration",
    "ConfigurationError",
    "EvaluationConfig",
    "check",
    "check_origin",
    "complete",
    "contenders",
    "data_bytes",
    "depends_on",
    "identity",
    "identity_of_section",
    "is_measured",
    "is_of_measurements",
    "is_own",
    "measurements_section",
    "mistakes_in",
    "parse",
    "parse_device",
    "require_same_observations",
    "resolve_hybrid",
    "warn_without_effect",
]

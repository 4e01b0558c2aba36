"""What is wrong with a configuration: the error, and the parts that its text is made of."""

from __future__ import annotations

# The keys that lead to a value, with positions in lists.
Key = tuple[str | int, ...]
# Where something is wrong, and what, with what is allowed.
Mistake = tuple[Key, str]


class ConfigurationError(ValueError):
    """The configuration is wrong; the message has one line per mistake."""


def dotted(key: Key) -> str:
    """A key as it is written in `--params`."""
    return ".".join(map(str, key))

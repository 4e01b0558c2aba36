"""Which errors are messages for users: those of this program that have a text, but for the ones of its own inside."""

from __future__ import annotations


class InternalError(Exception):
    """An error that the program's own code answers to; it says nothing that a user could mend."""


def is_message(error: BaseException) -> bool:
    """Whether an error is a message for users, and so is printed without its traceback."""
    own = type(error).__module__.startswith("hyco.") and not isinstance(error, InternalError)
    return own and bool(str(error).strip())

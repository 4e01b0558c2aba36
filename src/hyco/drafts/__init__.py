"""A first experiment for a file of measurements: what is in it, guessed by names and numbers, and said in comments."""

from hyco.drafts.draft import Draft, DraftError, UndecidedError, draft

__all__ = ["Draft", "DraftError", "UndecidedError", "draft"]

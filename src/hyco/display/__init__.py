"""What a person sees of a run: while it goes on, and when it is done."""

from hyco.display.follow import Follower
from hyco.display.summary import summary
from hyco.display.words import epoch_words

__all__ = ["Follower", "epoch_words", "summary"]

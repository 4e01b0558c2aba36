"""What can be learnt of an equation: numbers and fields, one representation per file.

To add a kind, write one file with a subclass of `Learnable` and add it to `LearnableParameter` in `space.py`.
"""

from hyco.parameters.learnable import Learnable, Prior
from hyco.parameters.space import LearnableParameter, ParameterSpace

__all__ = ["Learnable", "LearnableParameter", "ParameterSpace", "Prior"]

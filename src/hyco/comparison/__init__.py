"""Comparison of methods: each is trained for several seeds on the same data, and their errors stand in one table.

`config.py` says what is compared, `one_run.py` trains and evaluates, `runs.py` does so for all methods and seeds, and
`summary.py` makes statistics and tables of it.
"""

from hyco.comparison.config import CompareConfig, Contender, Variant
from hyco.comparison.runs import compare
from hyco.comparison.summary import markdown, table

__all__ = ["CompareConfig", "Contender", "Variant", "compare", "markdown", "table"]

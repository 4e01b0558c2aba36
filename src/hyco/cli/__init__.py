"""The command `hyco`: one command per file, and `kedro run` where none is named.

Kedro takes `cli` into its own commands, so that `kedro export` is `hyco export`, and `run` for a packaged project's.
"""

from kedro.framework.cli.project import run

from hyco.cli.main import cli

__all__ = ["cli", "run"]

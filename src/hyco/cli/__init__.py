"""The command `hyco`: one command per file, and `kedro run` where none is named."""

import click

# Kedro asks the package's `cli` for commands of its own. There are none: `kedro new` is another thing than `hyco new`.
cli = click.Group("hyco")

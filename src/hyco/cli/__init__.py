"""The command `hyco`: one command per file, and `kedro run` where none is named."""

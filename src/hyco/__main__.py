"""`python -m hyco` is `kedro run`, with the same options, in a project's folder."""

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main() -> None:
    """Run a pipeline, as the command line says."""
    configure_project("hyco")
    find_run_command("hyco")()


if __name__ == "__main__":
    main()

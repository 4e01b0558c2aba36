"""`hyco`, or `python -m hyco`: the project's commands; without one it is `kedro run`, with the same options."""

from hyco.cli.main import main

if __name__ == "__main__":
    main()

"""A process of its own that forks for the commands that it is sent: it has imported everything, and has no threads.

With the option `bare` it has imported nothing.

Each line that it reads is a command as JSON (`number`, `arguments` of `python -m`, `cwd`, `env`, and the `seconds` that
it may take); for each it writes one with its `number`, and `returncode`, `stdout` and `stderr`, or `late`: that it has
been killed, as it had not ended.
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import forked


def run(arguments, cwd, env, seconds):
    """One command to its end."""
    module, *arguments = arguments
    process = forked.Forked(module, arguments, cwd=Path(cwd), env=env, apart=True)
    try:
        stdout, stderr = process.communicate(seconds)
    except TimeoutError as error:
        return {"late": str(error)}
    return {"returncode": process.returncode, "stdout": stdout, "stderr": stderr}


if "bare" not in sys.argv:
    forked.import_everything()
for line in sys.stdin:
    command = json.loads(line)
    number = command.pop("number")
    sys.stdout.write(json.dumps({"number": number, **run(**command)}) + "\n")
    sys.stdout.flush()

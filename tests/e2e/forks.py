"""A process of its own that forks for the commands that it is sent: it has imported everything, and has no threads.

Each line that it reads is a command as JSON (`arguments` of `python -m`, `cwd`, `env`); for each it writes one with
`returncode`, `stdout` and `stderr`.
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import forked

forked.import_everything()
for line in sys.stdin:
    command = json.loads(line)
    module, *arguments = command["arguments"]
    process = forked.Forked(module, arguments, cwd=Path(command["cwd"]), env=command["env"], apart=True)
    stdout, stderr = process.communicate()
    sys.stdout.write(json.dumps({"returncode": process.returncode, "stdout": stdout, "stderr": stderr}) + "\n")
    sys.stdout.flush()

"""A terminal that is closed while a program runs."""

from __future__ import annotations

import errno
import os
import sys

# Of the input, the output and the errors of a program.
_STREAMS = (0, 1, 2)


def leave_closed_terminal() -> None:
    """Where the terminal of the program is gone, let its output go nowhere: to write to it would be an error."""
    if sys.platform == "win32":
        return
    import termios

    for stream in _STREAMS:
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] != errno.EIO:  # it is none, or there is none
                continue
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, stream)
            os.close(nowhere)

"""What goes wrong between a run and those who work for it."""


class ComputeError(RuntimeError):
    """There is no engine as the `compute` section describes it, or it is gone; the message says what to do."""


class LostWorkerError(RuntimeError):
    """A worker has ended without the result of its piece.

    Attributes:
        final: whether the engine itself has begun the piece anew as often as it does.
    """

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final

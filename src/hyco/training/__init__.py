"""Training of either model alone, on data: epochs, windows of trajectories, learning rates, validation, checkpoints."""

TRAININGS = ("synthetic", "physical", "hybrid")


def available() -> list[str]:
    """The trainings there are, each a pipeline of its own."""
    return list(TRAININGS)

"""Training on data: networks, windows of trajectories, schedules, checkpoints, and the loop around each model alone."""

TRAININGS = ("synthetic", "physical", "hybrid")


def available() -> list[str]:
    """The trainings there are, each a pipeline of its own."""
    return list(TRAININGS)

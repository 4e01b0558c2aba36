"""The three training loops: synthetic, physical and hybrid."""

TRAININGS = ("synthetic", "physical", "hybrid")


def available() -> list[str]:
    """The trainings there are, each a pipeline of its own."""
    return list(TRAININGS)

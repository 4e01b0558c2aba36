"""What is observed reaches every training."""


def test_observed_steps_without_an_observation_are_named(problems):
    found = problems(hybrid={"observed_steps": 3})
    assert any("hybrid.observed_steps: 3 is too short: observation.time has no state" in line for line in found)

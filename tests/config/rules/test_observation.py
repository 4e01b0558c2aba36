"""What is observed reaches every training."""


def test_observed_steps_without_an_observation_are_named(problems):
    found = problems(hybrid={"observed_steps": 3})
    assert any("hybrid.observed_steps: 3 is too short: observation.time has no state" in line for line in found)


def test_what_cannot_stay_on_disk_is_told_before_anything_is_made(problems):
    sensors = {"space": {"mode": "samples", "count": 7, "at": "anywhere"}}
    for changes in ({"observation": {"initial_state": "observed"}}, {"observation": sensors}):
        found = problems(compute={"on_disk": True}, **changes)
        assert any("compute.on_disk: data on disk are measured in cells" in line for line in found), found

"""Where both models meet."""

import pytest

from hyco.config import ConfigurationError, parse


def test_a_static_problem_has_no_fresh_initial_states(parameters):
    with pytest.raises(ConfigurationError, match=r"interaction\.count: 4 is not allowed; allowed: 0: darcy is"):
        parse(parameters("darcy", hybrid={"interaction": {"count": 4}}))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"interaction": {"steps": 1}}, "hybrid.interaction.steps: 1 is shorter than a window"),
        ({"interaction": {"source": "distribution"}}, "hybrid.interaction: source: distribution needs length_scale"),
        ({"observed_steps": 999}, "hybrid.observed_steps: 999 is longer than a simulation"),
        ({"synthetic": {"early_stopping": 3}}, "hybrid.synthetic.early_stopping: 3 is not allowed here"),
    ],
)
def test_keys_of_the_interaction_are_checked(changes, line, problems):
    (found,) = problems(hybrid=changes)
    assert line in found

"""Methods of a comparison that apply, and those that cannot be."""

import pytest

from hyco.config import ConfigurationError, contenders, parse
from hyco.sections import merge


@pytest.mark.parametrize("correction", [True, {}])
def test_methods_that_a_correction_excludes_are_left_out_of_a_comparison_without_a_list(correction, parameters):
    found = parameters(hybrid={"correction": correction, "alpha": 0.9})
    parse(found)
    assert [c.name for c in contenders(found)] == ["persistence", "synthetic", "physical", "hybrid"]


def test_a_physics_informed_network_needs_a_fixed_regularisation_weight(parameters):
    coordinates = {
        "network": {"name": "mlp"},
        "num_predict_steps": 40,
    }
    field = {"name": "diffusivity", "kind": "field", "initial_guess": 0.1, "bounds": [0.01, 0.4]}
    learnt = [field | {"regularisation": {"weight": "discrepancy"}}]
    found = merge(
        parameters("heat"),
        {
            "generation": {"steps": 40, "initial_state": {"temperature": "sin(x)"}},
            "synthetic": coordinates,
            "physical": {"learnable_parameters": learnt},
            "hybrid": {"num_predict_steps": 40},
            "compare": {"methods": ["pinn"]},
        },
    )
    with pytest.raises(ConfigurationError, match=r"pinn needs a number as regularisation\.weight of diffusivity"):
        parse(found)
    # Who does not ask for one has none; a weight that is not given is chosen.
    for learnt in ([field | {"regularisation": {"weight": "discrepancy"}}], [field]):
        found["physical"]["learnable_parameters"] = learnt
        found["compare"]["methods"] = None
        parse(found)
        assert "pinn" not in [c.name for c in contenders(found)]
    found["physical"]["learnable_parameters"] = [field | {"regularisation": {"weight": 0.1}}]
    assert "pinn" in [c.name for c in contenders(found)]


def test_a_variant_may_not_observe_anew_what_was_measured(parameters):
    anew = {"method": "physical", "overrides": {"observation": {"initial_state": "observed"}}}
    same = {"method": "physical", "overrides": {"physical": {"epochs": 40}, "observation": {}}}
    found = parameters(compare={"methods": ["physical"], "variants": {"anew": anew, "same": same}})
    parse(found)
    file = {"file": "mine.csv", "axes": {"x": "x"}, "fields": {"velocity_x": "u"}}
    measured = found | {"measurements": file, "observation": {"train_sim": [0]}}
    with pytest.raises(ConfigurationError) as caught:
        parse(measured)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("compare.variants.anew.overrides.observation: cannot be changed where the data are measured")
    assert line.endswith("in another experiment")
    parse(measured | {"compare": {"variants": {"same": same}}})

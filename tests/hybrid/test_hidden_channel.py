"""Both models where one channel was never measured."""

import torch

import hyco


def test_a_hybrid_trains_where_one_of_two_channels_was_never_measured():
    """The network learns the hidden channel from the physics alone; losses, trust and estimates are finite."""
    section = {
        "name": "gray_scott",
        "domain": {"x": {"size": 1.0, "resolution": 16}},
        "dt": 1.0,
        "substeps": 2,
        "parameters": {"feed": 0.04, "kill": 0.06, "diffusivity_u": 1.5e-4, "diffusivity_v": 1e-4},
    }
    equation = hyco.equation(section)
    x = torch.linspace(0, 2 * torch.pi, 17, dtype=torch.float64)[:16]
    start = torch.stack([0.6 + 0.2 * torch.cos(x), 0.3 + 0.1 * torch.sin(x)])[None]
    states = hyco.simulate(equation, initial_states=start, steps=8).states
    mask = torch.ones_like(states, dtype=torch.bool)
    mask[:, :, 1] = False
    seen = hyco.Observations(
        values=states
        + 0.01 * torch.randn(states.shape, generator=torch.Generator().manual_seed(0), dtype=states.dtype),
        mask=mask,
        initial_states=torch.where(mask, states, 0.0)[:, 0],
        initial_state="observed",
        noise_std=torch.tensor([0.01, 0.0], dtype=torch.float64),
        train=[0],
        val=[],
        layout=equation.layout,
        dt=1.0,
    )
    learn = [{"name": "feed", "initial_guess": 0.03, "bounds": [0.01, 0.1]}]
    settings = {"epochs": 4, "alpha": "auto", "warmup_epochs": 1, "num_predict_steps": 8}
    settings["physical"] = {"method": "Levenberg-Marquardt", "suppress_convergence_errors": True}
    settings["synthetic"] = {"network": {"name": "resnet", "filters": 8, "blocks": 1}}
    both = hyco.train_hybrid(equation, seen, learn, settings)
    found = both.physics.estimate["feed"]
    assert abs(found.value - 0.04) < 4 * found.std
    assert torch.isfinite(both.network.rollout(start, 8)).all()

"""A small problem through the front door, trained once for all tests that look at results."""

import pytest

import hyco

EQUATION = {
    "name": "burgers",
    "domain": {"x": {"size": 4.0, "resolution": 32}},
    "dt": 0.05,
    "max_speed": 6.0,
    "parameters": {"viscosity": 0.1},
}
OBSERVATION = {"train_sim": [0, 1], "val_sim": [2], "test_sim": [3], "noise": 0.01}
LEARN = [{"name": "viscosity", "initial_guess": 0.5, "bounds": [0.005, 1.0]}]
NETWORK = {"network": {"name": "resnet", "filters": 8, "blocks": 1}, "learning_rate": 3e-3, "batch_size": 2}


class Door:
    """Data and trained models; those with the same arguments are the same numbers."""

    def __init__(self):
        self.learn, self.network_section = LEARN, NETWORK
        self.hybrid_section = {"epochs": 4, "warmup_epochs": 1, "alpha": 0.7, "synthetic": NETWORK}
        self.equation = hyco.equation(EQUATION)
        self.trajectories = hyco.simulate(self.equation, simulations=4, steps=8, length_scale=0.8)
        self.observations = hyco.observe(self.trajectories, OBSERVATION)
        self.starts = self.trajectories.states[:, 0]

    def fit(self, **options):
        return hyco.fit(self.equation, self.observations, LEARN, **{"method": "Levenberg-Marquardt"} | options)

    def train_network(self, **options):
        return hyco.train_network(self.observations, NETWORK | {"epochs": 3}, **options)

    def train_hybrid(self, **options):
        return hyco.train_hybrid(self.equation, self.observations, LEARN, self.hybrid_section, **options)


@pytest.fixture(scope="session")
def door():
    return Door()


@pytest.fixture(scope="session")
def physics(door):
    return door.fit()


@pytest.fixture(scope="session")
def network(door):
    return door.train_network()


@pytest.fixture(scope="session")
def both(door):
    return door.train_hybrid()

"""DeepXDE and pysindy for `inversions.py`: answer on standard output what they are asked on standard input, by line.

Runs in the environment of the peers (`make bench-peers`), which knows nothing of hyco.

{"solver": "pysindy", "equation": NAME, "problem": FILE, "part": N} fits the coefficients, with subdomains of the N-th
part of the domain to each side; the answer has the `estimates` and the processor time, `seconds`.
{"solver": "deepxde", "equation": NAME, "problem": FILE, "guess": {…}, "limit": SECONDS} does, and ends after so much
processor time; its answer has the `history`, too: pairs of processor time and estimates.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

os.environ["DDE_BACKEND"] = "pytorch"

import numpy as np

Numbers = dict[str, float]
# Steps of an optimiser at most, and after how many steps estimates are noted.
MOST_STEPS, NOTED = 50_000, 50
SUBDOMAINS = 2000


@dataclass(frozen=True)
class Settings:
    """How DeepXDE is given an equation.

    Attributes:
        hidden: layers of the network.
        adam: steps before L-BFGS; None: there is no other.
        rate: of its steps.
        batch: measurements of each field in a step of it; None: all.
        weight: of the measurements in the loss; that of the residuals is 1.
        collocation: places of the residuals.
        relative: whether coefficients are multiples of their guess, and residuals are multiplied by the duration.
    """

    hidden: tuple[int, ...]
    adam: int | None
    collocation: int
    relative: bool = False
    rate: float = 1e-3
    batch: int | None = None
    weight: float = 1.0


SETTINGS = {
    "burgers": Settings((20,) * 8, 1000, 2000),
    "heat": Settings((32,) * 4, 300, 1000, relative=True),
    # DeepXDE works out the derivatives at the measurements, too, of which there are 10496.
    "gray_scott": Settings((32,) * 4, None, 1000, relative=True, rate=5e-3, batch=250, weight=100.0),
}
# Of the rate of change of each field, as pysindy names them.
TERMS = {
    "burgers": [["x0x0_1", "x0_11"]],
    "heat": [["x0_11"]],
    "gray_scott": [["1", "x0", "x0_11", "x0 x1^2"], ["x1", "x1_11", "x0 x1^2"]],
}


def by_pinn(equation: str, problem: Any, guess: Numbers, limit: float) -> list[tuple[float, Numbers]]:
    """A physics-informed network by DeepXDE: Adam, then L-BFGS; coefficients are trained with the weights.

    Returns:
        Processor times since the start and estimates, until there is no progress or no time left.
    """
    import deepxde as dde
    import torch
    import torch._dynamo  # which optimisers would import in the time that is measured

    torch.set_num_threads(1)
    dde.config.set_random_seed(0)
    dde.config.set_default_float("float64")  # else its line search ends early
    begin = time.process_time()
    x, t, values, mask = (problem[name] for name in ("x", "t", "values", "mask"))
    low, high = float(x[0]), float(x[-1])
    duration = float(t[-1] - t[0])
    if periodic := equation != "burgers":
        high = low + float(x[1] - x[0]) * len(x)
    settings = SETTINGS[equation]
    units = guess if settings.relative else dict.fromkeys(guess, 1.0)
    unit = duration if settings.relative else 1.0
    variables = {name: dde.Variable(value / units[name]) for name, value in guess.items()}

    def residuals(points: Any, u: Any) -> Any:
        numbers = {name: units[name] * variable for name, variable in variables.items()}
        fields = range(values.shape[1])
        slopes = [dde.grad.jacobian(u, points, i=i, j=1) for i in fields]
        bent = [dde.grad.hessian(u, points, component=i, i=0, j=0) for i in fields]
        if equation == "burgers":
            carried = u[:, :1] * dde.grad.jacobian(u, points, i=0, j=0)
            return unit * (slopes[0] + numbers["convection"] * carried - numbers["viscosity"] * bent[0])
        if equation == "heat":
            return unit * (slopes[0] - numbers["diffusivity"] * bent[0])
        first, second = u[:, :1], u[:, 1:]
        reaction, feed, kill = first * second**2, numbers["feed"], numbers["kill"]
        return [
            unit * (slopes[0] - numbers["diffusivity_u"] * bent[0] + reaction - feed * (1 - first)),
            unit * (slopes[1] - numbers["diffusivity_v"] * bent[1] - reaction + (feed + kill) * second),
        ]

    domain = dde.geometry.GeometryXTime(
        dde.geometry.Interval(low, high), dde.geometry.TimeDomain(float(t[0]), float(t[-1]))
    )
    conditions: list[Any] = []
    for field in range(values.shape[1]):
        steps, cells = np.nonzero(mask[:, field])
        points = np.stack([x[cells], t[steps]], axis=1)
        seen = values[steps, field, cells][:, None]
        conditions.append(dde.icbc.PointSetBC(points, seen, component=field, batch_size=settings.batch))
        if not periodic:
            conditions.append(dde.icbc.DirichletBC(domain, lambda _: 0.0, lambda _, on: on))
    on_boundary = 0 if periodic else 100
    data = dde.data.TimePDE(domain, residuals, conditions, settings.collocation, on_boundary)
    network = dde.nn.FNN([3 if periodic else 2, *settings.hidden, values.shape[1]], "tanh", "Glorot uniform")
    lowest = torch.tensor([low, float(t[0])], dtype=torch.float64)
    scale = torch.tensor([high - low, duration], dtype=torch.float64)

    def features(points: Any) -> Any:
        scaled = 2 * (points - lowest) / scale - 1
        if not periodic:
            return scaled
        angle = torch.pi * scaled[:, :1]
        return torch.cat([torch.cos(angle), torch.sin(angle), scaled[:, 1:]], dim=1)

    network.apply_feature_transform(features)
    history: list[tuple[float, Numbers]] = []

    def note() -> None:
        values = {name: units[name] * float(variable.detach()) for name, variable in variables.items()}
        history.append((time.process_time() - begin, values))
        print(model.train_state.step, *history[-1], flush=True)

    class Notes(dde.callbacks.Callback):  # type: ignore[misc]
        """Notes estimates, and stops when the time is over."""

        def on_epoch_end(self) -> None:
            if self.model.train_state.step >= NOTED * (len(history) + 1):
                note()
            self.model.stop_training = time.process_time() - begin > limit

    model = dde.Model(data, network)
    callbacks = [Notes()]
    if settings.batch is not None:
        callbacks.append(dde.callbacks.PDEPointResampler(period=1, pde_points=False, bc_points=True))
    training: dict[str, Any] = {
        "external_trainable_variables": list(variables.values()),
        "loss_weights": [1.0] * values.shape[1] + [settings.weight] * len(conditions),
    }
    model.compile("adam", lr=settings.rate, **training)
    adam = MOST_STEPS if settings.adam is None else settings.adam
    model.train(iterations=adam, display_every=adam, verbose=0, callbacks=callbacks)
    if not model.stop_training:
        dde.optimizers.set_LBFGS_options(maxiter=MOST_STEPS)
        # So many at once, then it asks whether to go on.
        dde.optimizers.LBFGS_options["iter_per_step"] = NOTED
        dde.optimizers.LBFGS_options["fun_per_step"] = 5 * NOTED // 4
        model.compile("L-BFGS", **training)
        model.train(display_every=MOST_STEPS, verbose=0, callbacks=[Notes()])
    note()
    return history


def by_weak_form(equation: str, problem: Any, part: int) -> Numbers:
    """A least-squares fit of the weak form by pysindy, with the terms of the equation in its library."""
    import pysindy

    x, t = problem["x"], problem["t"]
    values = np.moveaxis(problem["values"], 1, -1).swapaxes(0, 1)  # [x, t, fields]
    grid = np.stack(np.meshgrid(x, t, indexing="ij"), axis=-1)

    class Known(pysindy.BaseOptimizer):  # type: ignore[misc]
        """Least squares with the terms of each equation alone, by their places in the library."""

        def __init__(self, places: Sequence[Sequence[int]]) -> None:
            super().__init__(unbias=False)
            self.places = places

        def _reduce(self, x: Any, y: Any) -> None:
            self.coef_ = np.zeros((y.shape[1], x.shape[1]))
            for number, own in enumerate(self.places):
                self.coef_[number, own] = np.linalg.lstsq(x[:, own], y[:, number], rcond=None)[0]
            self.ind_ = self.coef_ != 0

    def fitted(optimiser: Any, subdomains: int) -> Any:
        np.random.seed(0)  # noqa: NPY002 - the library draws its subdomains from NumPy's own stream
        library = pysindy.WeakPDELibrary(
            function_library=pysindy.PolynomialLibrary(
                degree=3 if equation == "gray_scott" else 1, include_bias=equation == "gray_scott"
            ),
            derivative_order=2,
            spatiotemporal_grid=grid,
            include_interaction=equation == "burgers",
            K=subdomains,
            H_xt=[float(axis[-1] - axis[0]) / part for axis in (x, t)],
        )
        model = pysindy.SINDy(feature_library=library, optimizer=optimiser)
        model.fit(values, t=t)
        return model

    terms = TERMS[equation]
    names = fitted(pysindy.STLSQ(threshold=0.0), 20).get_feature_names()
    model = fitted(Known([[names.index(name) for name in own] for own in terms]), SUBDOMAINS)
    found = [dict(zip(names, map(float, own), strict=True)) for own in model.coefficients()]
    first = found[0]
    if equation == "burgers":
        return {"convection": -first["x0x0_1"], "viscosity": first["x0_11"]}
    if equation == "heat":
        return {"diffusivity": first["x0_11"]}
    feed = (first["1"] - first["x0"]) / 2
    second = found[1]
    return {
        "diffusivity_u": first["x0_11"],
        "diffusivity_v": second["x1_11"],
        "feed": feed,
        "kill": -second["x1"] - feed,
    }


def main() -> None:
    """Answer until there are no more questions."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    for line in sys.stdin:
        asked = json.loads(line)
        with np.load(asked["problem"]) as data:
            problem = dict(data)
        answer: dict[str, Any] = {}
        begin = time.process_time()
        if asked["solver"] == "deepxde":
            answer["history"] = by_pinn(asked["equation"], problem, asked["guess"], asked["limit"])
            answer["seconds"], answer["estimates"] = answer["history"][-1]
        else:
            answer["estimates"] = by_weak_form(asked["equation"], problem, asked["part"])
            answer["seconds"] = time.process_time() - begin
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

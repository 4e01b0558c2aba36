"""Problems with truths that no solver of hyco made: sums of waves, series integrated by SciPy, finite volumes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct
from scipy.integrate import solve_ivp

Numbers = NDArray[np.float64]
Sections = dict[str, Any]
# The values at times `[T]` and places `[T, P]` by axis, of each channel.
Truth = Callable[[Numbers, dict[str, Numbers]], dict[str, Numbers]]

SENSORS = 40


class Problem:
    """An equation, what is learnt, and one draw of a truth.

    Attributes:
        section: `equation`.
        learn: what is learnt.
        true: the numbers; of a field a function of the position.
        times: of the measurements.
        sensors: places, the same at all times; 0: all cells.
        interpolation: how the model is read between its cells.
        channels: the field that each column of the table is.
    """

    section: ClassVar[Any]
    learn: ClassVar[Any]
    true: ClassVar[Any]
    times: Numbers
    sensors = 0
    interpolation = "cubic"
    channels: ClassVar[Any]

    def draw(self, random: np.random.Generator) -> tuple[dict[str, str], Truth]:
        """Formulas of the state at t = 0, by channel, and what becomes of it."""
        raise NotImplementedError


def waves_text(terms: list[tuple[float, str]], constant: float = 0.0) -> str:
    """A sum of waves as a formula."""
    return " + ".join([repr(float(constant)), *(f"{float(a)!r} * {wave}" for a, wave in terms)])


class Plate(Problem):
    """Heat on 3 × 2 in 24 × 16 cells, all measured: cold at the left, insulated at the right, periodic along y."""

    true: ClassVar[Any] = {"diffusivity": 0.08}
    times = np.array([0.25, 0.5, 0.75, 1.0])
    channels: ClassVar[Any] = {"T": "temperature"}
    learn: ClassVar[Any] = [{"name": "diffusivity", "initial_guess": 0.2, "bounds": [0.005, 0.4]}]
    section: ClassVar[Any] = {
        "name": "heat",
        "domain": {"x": {"size": 3.0, "resolution": 24}, "y": {"size": 2.0, "resolution": 16}},
        "boundary": {"x": {"lower": 0.0, "upper": "neumann"}, "y": "periodic"},
        "dt": 0.05,
        "max_diffusivity": 0.4,
        "parameters": {"diffusivity": 0.2},
    }

    def draw(self, random: np.random.Generator) -> tuple[dict[str, str], Truth]:
        """Twelve waves."""
        modes = []
        for k, m in ((k, m) for k in range(4) for m in range(3)):
            p, q = (k + 0.5) * np.pi / 3, np.pi * m
            modes.append((random.normal() * np.exp(-0.15 * (p**2 + q**2)), p, q, random.uniform(0, 2 * np.pi)))

        def truth(t: Numbers, at: dict[str, Numbers]) -> dict[str, Numbers]:
            decay = [np.exp(-0.08 * t * (p**2 + q**2))[:, None] for _, p, q, _ in modes]
            parts = zip(modes, decay, strict=True)
            waves = [a * np.sin(p * at["x"]) * np.cos(q * at["y"] + f) * d for (a, p, q, f), d in parts]
            return {"T": np.sum(waves, axis=0)}

        text = [(a, f"sin({p!r} * x) * cos({q!r} * y + {f!r})") for a, p, q, f in modes]
        return {"temperature": waves_text(text)}, truth


class PlateSensors(Plate):
    """The same from 40 sensors between the cells."""

    sensors = SENSORS


class PlateCoarse(PlateSensors):
    """The same with second-order differences on 18 × 10 cells and linear reading: the grid is too coarse."""

    section: ClassVar[Any] = Plate.section | {
        "order": 2,
        "domain": {"x": {"size": 3.0, "resolution": 18}, "y": {"size": 2.0, "resolution": 10}},
    }
    interpolation = "linear"


class Flow(Problem):
    """Burgers in 128 cells on 10, all measured at four times; viscosity and convection."""

    true: ClassVar[Any] = {"viscosity": 0.1, "convection": 1.0}
    times = np.array([0.5, 1.0, 1.5, 2.0])
    channels: ClassVar[Any] = {"u": "velocity x"}
    learn: ClassVar[Any] = [
        {"name": "viscosity", "initial_guess": 0.3, "bounds": [0.005, 1.0]},
        {"name": "convection", "initial_guess": 0.8, "bounds": [0.3, 2.0]},
    ]
    section: ClassVar[Any] = {
        "name": "burgers",
        "domain": {"x": {"size": 10.0, "resolution": 128}},
        "dt": 0.05,
        "parameters": {"viscosity": 0.2, "convection": 1.0},
    }

    def draw(self, random: np.random.Generator) -> tuple[dict[str, str], Truth]:
        """Six waves."""
        n, length = 256, 10.0
        k = 2 * np.pi * np.fft.rfftfreq(n, length / n)
        kept = k < 2 / 3 * k.max()
        numbers = (2 * np.pi * np.arange(1, 7) / length).tolist()
        waves = [(1.2 * random.normal() * np.exp(-0.25 * w**2), w, random.uniform(0, 2 * np.pi)) for w in numbers]
        x = np.arange(n) * length / n
        start = np.fft.rfft(sum(a * np.sin(w * x + f) for a, w, f in waves))

        def rate(t: float, spectrum: Any) -> Any:
            u = np.fft.irfft(spectrum, n)
            return -0.5j * k * kept * np.fft.rfft(u * u) - 0.1 * k**2 * spectrum

        def truth(t: Numbers, at: dict[str, Numbers]) -> dict[str, Numbers]:
            found = solve_ivp(rate, (0, t[-1]), start, t_eval=t, rtol=1e-7, atol=1e-8 * np.abs(start).max()).y.T / n
            found[:, 1:-1] *= 2
            return {"u": np.einsum("tk,tpk->tp", found, np.exp(1j * at["x"][:, :, None] * k)).real}

        return {"velocity x": waves_text([(a, f"sin({w!r} * x + {f!r})") for a, w, f in waves])}, truth


class FlowUpwind(Flow):
    """The same with `scheme: upwind`."""

    section: ClassVar[Any] = Flow.section | {"scheme": "upwind"}


class Carried(Problem):
    """Advection and diffusion on a ring of 48 cells, 40 sensors between them; velocity and diffusivity."""

    true: ClassVar[Any] = {"velocity_x": 0.7, "diffusivity": 0.02}
    times = np.linspace(0.2, 1.0, 5)
    sensors = SENSORS
    channels: ClassVar[Any] = {"c": "concentration"}
    learn: ClassVar[Any] = [
        {"name": "velocity_x", "initial_guess": 0.3, "bounds": [-1.0, 2.0]},
        {"name": "diffusivity", "initial_guess": 0.05, "bounds": [0.001, 0.3]},
    ]
    section: ClassVar[Any] = {
        "name": "advection_diffusion",
        "domain": {"x": {"size": 2.0, "resolution": 48}},
        "dt": 0.05,
        "parameters": {"velocity_x": 0.3, "diffusivity": 0.05},
    }

    def draw(self, random: np.random.Generator) -> tuple[dict[str, str], Truth]:
        """Four waves about 1."""
        numbers = (np.pi * np.arange(1, 5)).tolist()
        waves = [(random.normal() / (1 + i), w, random.uniform(0, 2 * np.pi)) for i, w in enumerate(numbers)]

        def truth(t: Numbers, at: dict[str, Numbers]) -> dict[str, Numbers]:
            t = t[:, None]
            return {
                "c": 1 + sum(a * np.exp(-0.02 * w**2 * t) * np.sin(w * (at["x"] - 0.7 * t) + f) for a, w, f in waves)
            }

        return {"concentration": waves_text([(a, f"sin({w!r} * x + {f!r})") for a, w, f in waves], 1.0)}, truth


class Channel(Carried):
    """Advection and diffusion through a channel with 0 at both ends, 48 cells, 40 sensors between them."""

    true: ClassVar[Any] = {"velocity_x": 0.3, "diffusivity": 0.1}
    section: ClassVar[Any] = Carried.section | {"boundary": 0.0}

    def draw(self, random: np.random.Generator) -> tuple[dict[str, str], Truth]:
        """exp(vx/2D - v²t/4D) times sines that decay, exactly."""
        v, d = self.true["velocity_x"], self.true["diffusivity"]
        waves = [(random.normal() / (1 + i), (i + 1) * np.pi / 2) for i in range(4)]

        def truth(t: Numbers, at: dict[str, Numbers]) -> dict[str, Numbers]:
            t, x = t[:, None], at["x"]
            sines = sum(a * np.exp(-d * w**2 * t) * np.sin(w * x) for a, w in waves)
            return {"c": np.exp(v * (x - 1) / (2 * d) - v**2 * t / (4 * d)) * sines}

        grown = f"exp({v / (2 * d)!r} * (x - 1))"
        return {"concentration": waves_text([(a, f"{grown} * sin({w!r} * x)") for a, w in waves])}, truth


class Pulses(Problem):
    """Gray-Scott in 96 cells on 102.4, both substances measured in all of them; both diffusivities."""

    true: ClassVar[Any] = {"diffusivity_u": 0.2, "diffusivity_v": 0.08}
    times = np.array([80.0, 160.0, 240.0, 320.0])
    channels: ClassVar[Any] = {"u": "u", "v": "v"}
    learn: ClassVar[Any] = [
        {"name": "diffusivity_u", "initial_guess": 0.15, "bounds": [0.02, 0.5]},
        {"name": "diffusivity_v", "initial_guess": 0.06, "bounds": [0.01, 0.4]},
    ]
    section: ClassVar[Any] = {
        "name": "gray_scott",
        "domain": {"x": {"size": 102.4, "resolution": 96}},
        "dt": 20.0,
        "parameters": {"diffusivity_u": 0.15, "diffusivity_v": 0.06, "feed": 0.018, "kill": 0.051},
    }

    def draw(self, random: np.random.Generator) -> tuple[dict[str, str], Truth]:
        """Two pulses of v in u = 1."""
        n, length, feed, kill = 256, 102.4, 0.018, 0.051
        k = 2 * np.pi * np.fft.rfftfreq(n, length / n)
        pulses = [(random.uniform(15, 35), random.uniform(5, 8)), (random.uniform(60, 85), random.uniform(5, 8))]
        x = np.arange(n) * length / n
        v = 0.4 * sum(np.exp(-(((x - c) / w) ** 2)) for c, w in pulses)
        rates = np.concatenate([0.2 * k**2 + feed, 0.08 * k**2 + feed + kill])
        begun = np.concatenate([np.fft.rfft(v), np.fft.rfft(v)])  # of 1 - u and of v

        def rate(t: float, state: Any) -> Any:
            lack, v = (np.fft.irfft(part, n) for part in np.split(state, 2))
            reaction = np.fft.rfft((1 - lack) * v * v)
            return np.concatenate([reaction, reaction]) - rates * state

        def truth(t: Numbers, at: dict[str, Numbers]) -> dict[str, Numbers]:
            limits = {"rtol": 1e-7, "atol": 1e-8 * np.abs(begun).max()}
            found = solve_ivp(rate, (0, t[-1]), begun, t_eval=t, **limits).y.T / n
            series = found.reshape(len(t), 2, -1).copy()
            series[..., 1:-1] *= 2
            waves = np.exp(1j * at["x"][:, :, None] * k)
            lack, v = np.einsum("tck,tpk->ctp", series, waves).real
            return {"u": 1 - lack, "v": v}

        text = waves_text([(0.4, f"exp(-((x - {c!r}) / {w!r})**2)") for c, w in pulses])
        return {"u": f"1 - ({text})", "v": text}, truth


class PulsesCoarse(Pulses):
    """The same in 64 cells, of which a pulse has three."""

    section: ClassVar[Any] = Pulses.section | {"domain": {"x": {"size": 102.4, "resolution": 64}}}


class Population(Problem):
    """Fisher-KPP by formula, u_t = D u_xx + r u (1 - u), in 64 cells between closed ends; D and r."""

    true: ClassVar[Any] = {"D": 0.1, "r": 1.0}
    times = np.array([0.5, 1.0, 1.5, 2.0])
    channels: ClassVar[Any] = {"u": "u"}
    learn: ClassVar[Any] = [
        {"name": "D", "initial_guess": 0.2, "bounds": [0.01, 1.0]},
        {"name": "r", "initial_guess": 0.5, "bounds": [0.1, 4.0]},
    ]
    section: ClassVar[Any] = {
        "name": "formula",
        "domain": {"x": {"size": 6.0, "resolution": 64}},
        "dt": 0.05,
        "fields": {"u": {"boundary": "neumann", "lower": 0.0}},
        "rates": {"u": "D*laplace(u) + r*u*(1 - u)"},
        "parameters": {"D": 0.2, "r": 0.5},
    }

    def draw(self, random: np.random.Generator) -> tuple[dict[str, str], Truth]:
        """Four waves without slope at the ends, about 0.35."""
        n, length = 192, 6.0
        waves = [(0.12 * random.normal() / (1 + i), (i + 1) * np.pi / length) for i in range(4)]
        largest = sum(abs(a) for a, _ in waves)
        waves = [(a * min(1.0, 0.3 / largest), w) for a, w in waves]
        x = (np.arange(n) + 0.5) * length / n
        k = np.pi * np.arange(n) / length
        begun = dct(0.35 + sum(a * np.cos(w * x) for a, w in waves), norm="ortho")

        def rate(t: float, series: Any) -> Any:
            u = idct(series, norm="ortho")
            return dct(u * (1 - u), norm="ortho") - 0.1 * k**2 * series

        def truth(t: Numbers, at: dict[str, Numbers]) -> dict[str, Numbers]:
            limits = {"method": "BDF", "rtol": 1e-7, "atol": 1e-9}
            found = solve_ivp(rate, (0, t[-1]), begun, t_eval=t, **limits).y.T * np.sqrt(2 / n)
            found[:, 0] /= np.sqrt(2)
            return {"u": np.einsum("tk,tpk->tp", found, np.cos(at["x"][:, :, None] * k))}

        return {"u": waves_text([(a, f"cos({w!r} * x)") for a, w in waves], 0.35)}, truth


class Layers(Problem):
    """A diffusivity that varies in an insulated rod, m + c cos(πx/2) + s cos(πx), in 32 cells, all measured.

    The field is learnt as a formula of three numbers; its interval is looked at in one cell.
    """

    times = np.array([0.25, 0.5, 1.0, 2.0])
    channels: ClassVar[Any] = {"T": "temperature"}
    true: ClassVar[Any] = {"diffusivity": lambda x: 0.05 + 0.03 * np.cos(np.pi * x / 2) + 0.015 * np.cos(np.pi * x)}
    learn: ClassVar[Any] = [
        {
            "name": "diffusivity",
            "kind": "expression",
            "expression": "m + c*cos(pi*x/2) + s*cos(pi*x)",
            "scalars": [
                {"name": "m", "initial_guess": 0.06, "bounds": [0.01, 0.2]},
                {"name": "c", "initial_guess": 0.0, "bounds": [-0.06, 0.06]},
                {"name": "s", "initial_guess": 0.0, "bounds": [-0.06, 0.06]},
            ],
        }
    ]
    section: ClassVar[Any] = {
        "name": "heat",
        "domain": {"x": {"size": 2.0, "resolution": 32}},
        "boundary": "neumann",
        "dt": 0.05,
        "max_diffusivity": 0.3,
        "parameters": {"diffusivity": 0.06},
    }

    def draw(self, random: np.random.Generator) -> tuple[dict[str, str], Truth]:
        """Five waves without slope at the ends."""
        waves = [(random.normal() / (1 + 0.5 * i), (i + 1) * np.pi / 2) for i in range(5)]
        values, vectors, places = self.rod(random)
        begun = vectors.T @ sum(a * np.cos(w * places) for a, w in waves)

        def truth(t: Numbers, at: dict[str, Numbers]) -> dict[str, Numbers]:
            states = (np.exp(np.outer(t, values)) * begun) @ vectors.T
            return {"T": np.array([np.interp(x, places, s) for x, s in zip(at["x"], states, strict=True)])}

        return {"temperature": waves_text([(a, f"cos({w!r} * x)") for a, w in waves])}, truth

    def rod(self, random: np.random.Generator) -> tuple[Numbers, Numbers, Numbers]:
        """Eigenvalues, eigenvectors and cell centres of finite volumes."""
        return of_layers()


class LayersCells(Layers):
    """The same with a value in each cell, drawn from the prior of the fit.

    That is a random walk: `regularisation` of kind h1 with the weight that the steps of the walk have.
    """

    step, middle = 0.004, 0.06
    learn: ClassVar[Any] = [
        {
            "name": "diffusivity",
            "kind": "field",
            "initial_guess": middle,
            "scale": 0.02,
            "regularisation": {"kind": "h1", "weight": 2 / 32 / step**2},
        }
    ]

    def rod(self, random: np.random.Generator) -> tuple[Numbers, Numbers, Numbers]:
        """Of another walk in each draw, which is the truth then."""
        walk = np.cumsum(self.step * random.normal(size=32))
        cells = self.middle + walk - walk[16]
        self.true = {"diffusivity": lambda x: cells[int(x * 16)]}
        fine = np.repeat(cells, 9)
        return volumes(2 / (1 / fine[1:] + 1 / fine[:-1]))


@cache
def of_layers() -> tuple[Numbers, Numbers, Numbers]:
    """Of `Layers`, in 1056 volumes: an odd multiple of 32, so that their centres are among these."""
    return volumes(Layers.true["diffusivity"](np.arange(1, 1056) * 2.0 / 1056))


def volumes(diffusivity: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Eigenvalues, eigenvectors and centres of volumes on 0 to 2, insulated, with these diffusivities on the faces."""
    n = len(diffusivity) + 1
    h = 2.0 / n
    face = diffusivity / h**2
    matrix = np.diag(np.concatenate([[0.0], -face])) + np.diag(np.concatenate([-face, [0.0]]))
    matrix += np.diag(face, 1) + np.diag(face, -1)
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors, (np.arange(n) + 0.5) * h


PROBLEMS: dict[str, type[Problem]] = {
    "heat": Plate,
    "heat_sensors": PlateSensors,
    "heat_coarse": PlateCoarse,
    "burgers": Flow,
    "burgers_upwind": FlowUpwind,
    "advection_diffusion": Carried,
    "advection_diffusion_walls": Channel,
    "gray_scott": Pulses,
    "gray_scott_coarse": PulsesCoarse,
    "fisher": Population,
    "field": Layers,
    "field_cells": LayersCells,
}

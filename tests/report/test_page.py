"""The page of a run stands alone: nothing from elsewhere, a word for every picture, headings in order."""

import re
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from hyco.equations.registry import build_equation
from hyco.observations import Observations
from hyco.report.facts import data_facts, problem_facts, statement
from hyco.report.page import Run, _predicted, _tables, commands, report_page
from hyco.report.page_parts import formula_pictures, frame_files, png_picture

BURGERS = {
    "name": "burgers",
    "domain": {"x": {"size": 4.0, "resolution": 8}},
    "dt": 0.1,
    "max_speed": 3.0,
    "parameters": {"viscosity": 0.1},
}
CONFIGURATION = {
    "experiment": "tiny",
    "equation": BURGERS,
    "physical": {"learnable_parameters": [{"name": "viscosity", "initial_guess": 0.5, "bounds": [0.01, 1.0]}]},
    "notes": "<script>alert('no')</script>",
}
VISCOSITY = {
    "true": 0.1,
    "estimate": 0.1007,
    "std": 0.00098,
    "interval": [0.0982, 0.1031],
    "identifiable": True,
    "pull": 0.4,
    "unit": "m²/s",
}
REPORT = {
    "experiment": "tiny",
    "seed": 3,
    "equation": "burgers",
    "methods": {
        "persistence": {"nrmse": {"mean": 0.6, "per_step": [0.4, 0.8]}},
        "hybrid_physical": {
            "nrmse": {"mean": 0.01, "per_step": [0.005, 0.015]},
            "training_seconds": 34.0,
            "reduced_chi_square": 0.94,
            "parameters": {"viscosity": VISCOSITY, "drag": {**VISCOSITY, "identifiable": False}},
            "undetermined": ["drag - 0.5 viscosity"],
        },
    },
    "warnings": ["hybrid_physical: mind <b>the</b> gap"],
    "cost": {"peak_rss_bytes": 2**30},
}
PROFILE = {"trainings": {"hybrid": {"phases": [{"name": "physical", "seconds": 1.5, "share": 0.25}]}}}


def png(width=30, height=20):
    buffer = BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def equation():
    return build_equation(BURGERS)


@pytest.fixture(scope="module")
def page(equation):
    mask = torch.zeros(2, 3, 1, 8, dtype=torch.bool)
    mask[0, 2, 0, :5] = True
    seen = Observations(
        values=torch.ones(2, 3, 1, 8, dtype=torch.float64),
        mask=mask,
        initial_states=torch.ones(2, 1, 8, dtype=torch.float64),
        noise_std=torch.tensor([0.02], dtype=torch.float64),
        train=[0],
        val=[1],
        layout=equation.layout,
        dt=0.1,
    )
    figures = {"predictions": png(), "rollout_error": png(), "parameter_estimates": png(), "identifiability": None}
    frames = np.full((4, 20, 30, 3), 255, dtype=np.uint8)
    frames[:, 5:9] = np.arange(4, dtype=np.uint8)[:, None, None, None] * 60
    run = Run(
        configuration=CONFIGURATION,
        dt=equation.dt,
        formulas=equation.typeset(),
        statement=statement(equation),
        problem=list(problem_facts(equation, CONFIGURATION)),
        data=list(data_facts(seen, CONFIGURATION, {"time": "s"}, static=False)),
        figures=figures,
        animation={"frames": frames, "fps": 10.0},
        profile=PROFILE,
        command="kedro run --pipelines hybrid --params seed=3",
        digest="abc123",
        units={"time": "s"},
    )
    return report_page(REPORT, run)


class Outline(HTMLParser):
    """Headings, pictures, addresses and ids of a page."""

    def __init__(self, page):
        super().__init__()
        self.levels, self.pictures, self.addresses, self.ids, self.tags = [], [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "img":
            self.pictures.append(values)
        if tag == "svg" and values.get("role") == "img":
            self.pictures.append({"alt": values.get("aria-label")})
        self.addresses += [values[key] for key in ("src", "href", "srcset", "action", "data") if key in values]
        self.ids += [values["id"]] if "id" in values else []


def test_nothing_comes_from_elsewhere(page):
    outline = Outline(page)
    assert all(address.startswith(("data:", "#")) for address in outline.addresses)
    assert {address[1:] for address in outline.addresses if address.startswith("#")} <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))
    assert "default-src 'none'" in page
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|url\(|@import", page)
    assert "link" not in outline.tags or page.count("<link") == 1


def test_every_picture_has_words_and_headings_are_in_order(page):
    outline = Outline(page)
    assert len(outline.pictures) >= 5
    assert all(picture.get("alt") for picture in outline.pictures)
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
    assert "main" in outline.tags
    assert '<html lang="en">' in page


def luminance(colour):
    digits = colour if len(colour) == 6 else "".join(2 * c for c in colour)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_letters_stand_out_from_what_is_behind_them(page):
    named = dict(re.findall(r"--(\w+): #([0-9a-f]{3,6})", page))
    for ink, behind in [
        *((ink, paper) for ink in ("ink", "soft", "blue", "warn") for paper in ("paper", "shade")),
        *(("ink", colour) for colour in ("fdf3ea", "eef6ee")),
    ]:
        bright, dark = sorted((luminance(named.get(ink, ink)), luminance(named.get(behind, behind))), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, (ink, behind)


def test_what_a_person_asks_is_answered(page):
    for words in (
        "viscosity = 0.10070 ± 0.00098 m²/s",
        "0.0982 to 0.1031",
        "They do not determine drag",
        "drag - 0.5 viscosity",
        "kedro run --pipelines hybrid --params seed=3",
        "abc123",
        "5 in 1 trajectory, of velocity",
        "t = 0.2 s",
        "torch 2.",
        "initial_guess: 0.5",
        'class="no">no<',
    ):
        assert words in page, words


def test_what_users_write_is_text(page):
    assert "<script>alert" not in page
    assert "mind &lt;b&gt;the&lt;/b&gt; gap" in page


def test_the_equation_is_set_in_print_and_said_in_letters(equation):
    (picture,) = formula_pictures(equation.typeset(), statement(equation))
    assert picture.source.startswith("data:image/svg+xml;base64,")
    assert picture.alt.startswith("∂u/∂t + λ (u·∇)u = ν Δu on a periodic box")
    assert statement(equation).endswith(".")


def test_a_picture_has_the_size_of_its_file_and_nothing_else_is_one():
    assert (png_picture(png(250, 125), "alt").width, png_picture(png(250, 125), "alt").height) == (160, 80)
    with pytest.raises(ValueError, match="no PNG"):
        png_picture(b"GIF", "alt")


def test_white_stays_white_in_the_frames():
    import base64

    frames = np.full((2, 6, 8, 3), 255, dtype=np.uint8)
    frames[:, 5] = 253  # nearly white
    frames[1, 2:4] = [[[30, 90, 200]]]
    _, files = frame_files(frames)
    back = np.asarray(Image.open(BytesIO(base64.b64decode(files[1]))).convert("RGB"))
    assert (back[0] == 255).all()
    assert np.abs(back[2].astype(int) - [30, 90, 200]).max() < 12


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("hyco --pipelines hybrid --env tiny", "--env tiny"),
        ("kedro run --env=tiny", "--env tiny"),
        ("kedro run -e heat --params experiment=tiny", "--env heat --params experiment=tiny"),
        ("kedro run", "--params experiment=tiny"),
    ],
)
def test_predictions_are_of_the_experiment_that_was_run(command, options):
    assert commands(command, "tiny")[1].split("   #")[0] == f"hyco --pipelines predict {options}"


def test_without_a_command_the_others_are_left():
    assert all("predict" in line or "mlflow" in line for line in commands("", "tiny"))


def test_of_measurements_words_and_table_have_the_same_error():
    errors = {"persistence": (0.6, 0.9), "hybrid_physical": (0.03, 0.02)}
    methods = {
        method: REPORT["methods"][method] | {"nrmse": {"mean": mean, "per_step": [mean], "overall": overall}}
        for method, (mean, overall) in errors.items()
    }
    report = REPORT | {"methods": methods, "measured": True, "judges": "holdout"}
    assert list(_predicted(report)) == [
        "The smallest error has hybrid: physics: 0.02 over all times. Persistence, that nothing changes, has 0.9."
    ]
    (errors_table,) = (table for table in _tables(report) if table.caption.startswith("Errors"))
    assert "of what was held back of the measurements, over all times" in errors_table.caption
    assert [row[1] for row in errors_table.rows] == ["0.9", "0.02"]

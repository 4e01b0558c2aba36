"""What a person sees of a run: numbers with their error, lines that never cease for long, and what came of it."""

import time
from io import StringIO

import pytest
from rich.console import Console

from hyco.display.follow import Follower, look_of
from hyco.display.live import LiveDisplay
from hyco.display.state import State
from hyco.display.summary import summary
from hyco.display.words import duration, epoch_words, with_error
from hyco.runtime.activity import NOW, count_update, working_on
from hyco.runtime.monitoring import PhaseClock

METRICS = {
    "synthetic_loss": 1.76e-4,
    "physical_loss": 0.967,
    "validation_physical": 6.58e-3,
    "estimate.viscosity": 0.10069309,
    "std.viscosity": 0.00097522,
}
ENTRY = {"true": 0.1, "estimate": 0.10069, "std": 0.00098, "interval": [0.09819, 0.10306], "pull": 0.64, "unit": "m²/s"}
REPORT = {
    "methods": {
        "persistence": {"nrmse": {"mean": 0.619, "per_step": [0.2, 1.03]}},
        "hybrid_physical": {
            "nrmse": {"mean": 0.00104, "per_step": [0.0005, 0.00152]},
            "training_seconds": 34.2,
            "parameters": {"viscosity": {**ENTRY, "identifiable": True}, "drag": {**ENTRY, "identifiable": False}},
        },
    },
    "warnings": ["hybrid_physical: the data do not determine drag."],
}


@pytest.mark.parametrize(
    ("value", "std", "words"),
    [
        (0.10069309, 0.00097522, "0.10069 ± 0.00098"),
        (12345.678, 21.0, "12346 ± 21"),
        (-3.2, 0.5, "-3.20 ± 0.50"),
        (1.5e-12, 3e-14, "1.5e-12 ± 3e-14"),
        (2.0, None, "2"),
        (0.01, 0.0, "0.01"),
    ],
)
def test_a_number_has_the_digits_that_its_standard_deviation_allows(value, std, words):
    assert with_error(value, std) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.4, "3 s"), (190, "3 min 10 s"), (1800, "30 min"), (7500, "2 h 5 min"), (-1, "0 s")]
)
def test_durations_have_two_parts_at_most(seconds, words):
    assert duration(seconds) == words


def test_an_epoch_is_one_line_with_losses_estimates_errors_and_memory():
    words = epoch_words({**METRICS, "peak_bytes.physical": 300 * 2.0**20})
    assert words == (
        "loss of network 0.000176, physics 0.967; viscosity 0.10069 ± 0.00098; held-out error of physics 0.00658; "
        "peak memory in physical 300 MiB"
    )


def test_the_time_left_is_that_of_the_last_epochs():
    now = [0.0]
    state = State(clock=lambda: now[0])
    state.begin("hybrid")
    for epoch in range(1, 11):
        now[0] += 50.0 if epoch == 1 else 2.0
        state.advance(epoch, 40)
    assert state.left == pytest.approx(60.0)
    assert "epoch 10 of 40" in state.line()
    assert state.line().endswith("about 1 min left") or state.line().endswith("about 60 s left")


def test_what_a_training_is_at_is_known_while_it_is_at_it():
    clock = PhaseClock()
    with clock.phase("physical"):
        clock.begin_update()
        count_update()
        assert (NOW.phase, NOW.updates) == ("physical", 2)
        with working_on("other"):
            assert NOW.phase == "other"
        assert (NOW.phase, NOW.updates) == ("physical", 2)
    assert NOW.phase == ""


def test_lines_come_every_few_seconds_though_nothing_ends_and_one_is_left_of_the_last_epoch():
    said = []
    follower = Follower(said.append, "title", "lines", every=0.04)
    follower.start()
    follower.begin("hybrid")
    follower.advance(1, 3, METRICS)
    time.sleep(0.3)
    in_between = len(said)
    follower.advance(3, 3, METRICS)
    follower.close()
    assert in_between >= 3
    assert said[-1].startswith("hybrid, epoch 3 of 3: loss of network")
    after = len(said)
    time.sleep(0.1)
    assert len(said) == after


@pytest.mark.parametrize(
    ("terminal", "interactive", "look"),
    [("auto", True, "live"), ("auto", False, "lines"), ("lines", True, "lines"), ("quiet", True, "none")],
)
def test_the_key_and_the_terminal_say_how_a_run_is_shown(terminal, interactive, look):
    assert look_of(terminal, interactive=interactive) == look


def test_the_live_panel_has_the_estimate_and_the_epoch():
    state = State()
    state.begin("hybrid")
    state.advance(34, 100, METRICS)
    out = StringIO()
    Console(file=out, width=90).print(LiveDisplay("burgers_1d", state, Console(file=StringIO())).render())
    for words in ("burgers_1d", "epoch 34 of 100", "viscosity 0.10069 ± 0.00098", "held-out error"):
        assert words in out.getvalue()
    assert not any("━" in line and "loss" in line for line in out.getvalue().splitlines())


def test_a_summary_has_every_estimate_every_error_and_what_to_worry_about():
    text = "\n".join(summary(REPORT))
    for words in ("0.10069 ± 0.00098", "0.0982 to 0.1031", "m²/s", "NO", "0.64", "0.00104", "persistence", "34 s"):
        assert words in text
    assert text.index("What to worry about") < text.index("do not determine drag")
    assert "Nothing to worry about" in "\n".join(summary({**REPORT, "warnings": []}))


def test_a_training_alone_has_its_last_validation():
    methods = {"hybrid_physical": {"parameters": {"viscosity": {**ENTRY, "identifiable": True}}}}
    lines = summary({"methods": methods, "warnings": []}, errors={"hybrid": METRICS})
    assert any("hybrid: physics" in line and "0.00658" in line for line in lines)
    assert not any("nRMSE" in line for line in lines)


def test_against_measurements_the_error_is_that_of_all_times_beside_the_noise():
    nrmse = {"mean": 0.442, "overall": 0.0127, "per_step": [1.0, 0.01]}
    entry = {"nrmse": nrmse, "heldout": {"chi_square": 1.03, "count": 96}, "training_seconds": 3.0}
    lines = summary({"methods": {"physical": entry}, "measured": True, "judges": "holdout"})
    head = next(i for i, line in enumerate(lines) if "nRMSE" in line)
    assert lines[head].split() == ["Error", "(nRMSE)", "all", "times", "at", "the", "end", "χ²", "trained", "in"]
    assert lines[head + 1].split()[:5] == ["physics", "alone", "0.0127", "0.01", "1.03"]
    assert "χ² per measurement, 1 for the noise alone; 2 times" in lines[head + 2]


@pytest.mark.parametrize("look", ["live", "lines"])
def test_a_run_is_shown_also_where_no_thread_can_be_begun(look, no_threads):
    said = []
    follower = Follower(said.append, "title", look)
    follower.start()
    follower.begin("hybrid")
    follower.advance(3, 3, METRICS)
    follower.close()
    assert "epoch 3 of 3" in said[0]

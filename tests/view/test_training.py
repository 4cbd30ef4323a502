"""The picture of a training: made from what is known, in text as well, and nothing unescaped."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from jupyter_scale.parallel import Report, Training
from jupyter_scale.view.training import page, picture


def training(epochs: int, steps: int) -> Training:
    made = Training("fit", epochs=epochs, world_size=2, backend="gloo", where="here-1")
    made.history.extend(
        [
            Report(epoch, step, {"loss": 1.0 / (1 + epoch * steps + step)})
            for epoch in range(epochs)
            for step in range(steps)
        ]
    )
    made.history.append(Report(epochs - 1, steps, {"accuracy": 0.5}))
    return made


def test_a_curve_says_in_words_what_it_shows() -> None:
    root = ElementTree.fromstring(picture(training(4, 30), "loss"))
    label = root.attrib["aria-label"]
    assert label.startswith("loss by epoch. Means: 0.1332 in epoch 1")
    assert "in epoch 4" in label


def test_a_long_training_is_a_small_picture() -> None:
    assert len(picture(training(50, 1000), "loss")) < 12_000
    assert len(str(training(50, 10)).splitlines()) == 14


def test_what_is_not_finite_is_not_drawn() -> None:
    made = training(2, 3)
    made.history.append(Report(2, 0, {"loss": math.nan}))
    ElementTree.fromstring(picture(made, "loss"))
    assert picture(Training("fit"), "loss") == ""
    assert "starting" in page(Training("fit"))


def test_what_happened_is_told_and_escaped() -> None:
    made = training(1, 2)
    made.events.append("lost <script>")
    shown = page(made)
    assert "lost &lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "lost <script>" in str(made)
    assert "accuracy by epoch" in shown


def test_what_a_restart_repeats_is_there_once() -> None:
    made = training(2, 4)
    made.rewind(1, 1)
    places = [(report.epoch, report.step) for report in made.history]
    assert places == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
    made.rewind(0, 0)
    assert not made.history

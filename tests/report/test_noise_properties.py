"""Which property foretells a gain: slopes with intervals over tasks, and what is foretold of a task left out."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.noise_properties import PROPERTIES, averages_of, foretold_share, gains_of, slopes_of


def table(gain, tasks=8, sets=3):
    """Label sets of some tasks with random properties, and the gain that `gain` makes of them."""
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(rng.normal(size=(tasks * sets, len(PROPERTIES))), columns=list(PROPERTIES))
    rows["task"] = np.repeat([f"t{i}" for i in range(tasks)], sets)
    rows["method"], rows["rule"] = "mine", "last"
    rows["gain"] = gain(rows, rng)
    return rows


def test_a_gain_that_follows_a_property_has_its_slope_and_is_foretold():
    rows = table(lambda rows, rng: 2 * rows["noise_rate"] + 1)
    found = slopes_of(rows).set_index("property")
    assert found.loc["noise_rate", "slope"] == pytest.approx(2 * rows["noise_rate"].std())
    assert found.loc["noise_rate", "sure"]
    assert foretold_share(rows) > 0.9


def test_a_gain_at_random_is_not_foretold():
    rows = table(lambda rows, rng: rng.normal(size=len(rows)))
    assert foretold_share(rows) < 0.1
    assert slopes_of(rows)["sure"].sum() <= 1


def test_gains_are_paired_by_seed_and_averaged_over_tasks_with_equal_weight():
    cells = pd.DataFrame(
        [
            {"task": task, "noise": noise, "seed": seed, "method_label": method} | dict.fromkeys(columns, accuracy)
            for columns in [("accuracy_last", "accuracy_noisy_valid")]
            for task, noise, seed, method, accuracy in [
                ("a", "x", 1, "plain", 0.5), ("a", "x", 1, "mine", 0.6), ("a", "x", 2, "mine", 0.9),
                ("a", "y", 1, "plain", 0.5), ("a", "y", 1, "mine", 0.8), ("b", "z", 1, "plain", 0.7),
                ("b", "z", 1, "mine", 0.7),
            ]
        ]
    )  # fmt: skip
    gains = gains_of(cells)
    last = gains[gains["rule"] == "last"].set_index("noise")
    assert last["gain"].round(6).to_dict() == {"x": 10.0, "y": 30.0, "z": 0.0}
    assert last.loc["x", "seeds"] == 1
    averages = averages_of(gains).set_index("rule").loc["last"]
    assert (averages["mean"], averages["tasks"]) == (pytest.approx(10.0), 2)

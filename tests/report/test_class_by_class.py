"""What the page says of each class where any number of them may hold."""

import numpy as np
import pandas as pd
import pytest

from vidclass.report.behaviour import worst_class
from vidclass.report.class_by_class import (
    chance_of_several,
    class_figures,
    class_table,
    said_together,
)
from vidclass.training.scoring import Metric

CLASSES = ["run", "turn", "sit"]
LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=np.float32)


def predictions(num_seeds: int = 2) -> pd.DataFrame:
    """The first seed is right everywhere, the second never says turn."""
    parts = []
    for seed in range(num_seeds):
        prob_NK = LABELS * 0.8 + 0.1
        said_NK = (prob_NK > 0.5).astype(int)
        if seed == 1:
            said_NK[:, 1] = 0
        table = pd.DataFrame({"sample_id": list("abcd"), "fold": 0, "seed_index": seed + 1})
        for letter, values in (("y", LABELS.astype(int)), ("d", said_NK), ("p", prob_NK)):
            table[[f"{letter}{k}" for k in range(3)]] = values
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def test_figures_are_means_over_seeds_and_support_counts_a_sample_once() -> None:
    table = class_figures(predictions(), CLASSES).set_index("class")
    assert table["support"].tolist() == [2, 2, 0]
    assert table.loc["turn", ["recall", "said", "average_precision"]].tolist() == [0.5, 1.0, 1.0]
    assert table.loc["run", "f1"] == 1.0
    assert np.isnan(table.loc["sit", "average_precision"])


def test_the_table_tells_classes_without_a_label() -> None:
    rows = {row[0].text: row for row in class_table(predictions(), CLASSES, "window").rows}
    assert rows["turn"][3].text == "50.0 %"
    assert rows["sit"][1].beneath == "no label in the test set"


def test_answers_are_shared_out_by_where_a_class_holds() -> None:
    shares_KK = said_together(predictions())
    assert shares_KK.tolist() == [[1.0, 0.25, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]


def test_the_worst_class_is_one_that_the_test_set_holds() -> None:
    worst = worst_class(predictions(), CLASSES)
    assert worst is not None and worst.label in ("run", "turn") and worst.support == 2


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("mean_average_precision", 0.5), ("macro_f1", 2 / 3), ("exact_match", 0.25)],
)
def test_chance_of_each_score(metric: Metric, expected: float) -> None:
    assert chance_of_several(LABELS, metric) == pytest.approx(expected)

import numpy as np
import pandas as pd
import pytest

from tests.report.conftest import Reported
from vidclass.report.averaged import AVERAGE, averaged
from vidclass.report.compared import arm_table
from vidclass.report.runs import read_runs
from vidclass.report.scores import score_study
from vidclass.sweep.state import Final, State


def predictions(arm: str, probs: list[list[list[float]]]) -> pd.DataFrame:
    """Rows of an arm from probabilities ``[S, N, K]``; sample n is of class n % 2."""
    prob_SNK = np.array(probs)
    rows = []
    for seed, prob_NK in enumerate(prob_SNK):
        for n, prob_K in enumerate(prob_NK):
            row = {"arm": arm, "seed": seed, "fold": 0, "sample_id": f"v{n}", "group": f"g{n}"}
            row |= {"label_id": n % 2, "pred_id": int(prob_K.argmax())}
            rows.append(row | {f"p{k}": value for k, value in enumerate(prob_K)})
    return pd.DataFrame(rows)


def test_probabilities_are_averaged_seed_by_seed() -> None:
    sure = [[[0.9, 0.1], [0.6, 0.4]], [[0.9, 0.1], [0.1, 0.9]]]
    unsure = [[[0.4, 0.6], [0.3, 0.7]]]  # one seed
    runs = read_runs(pd.concat([predictions("a", sure), predictions("b", unsure)]))
    found = averaged(runs, State())
    assert found is not None and found.arm == AVERAGE
    assert found.num_seeds == 1 and found.num_samples == 2
    assert found.prob_SNK is not None
    np.testing.assert_allclose(found.prob_SNK[0], [[0.65, 0.35], [0.45, 0.55]])
    assert found.said.tolist() == [[0, 1]]  # each arm alone is wrong once
    assert found.score("accuracy") == 1.0
    assert runs["a"].score_S("accuracy")[0] == runs["b"].score("accuracy") == 0.5


def test_one_arm_has_no_average() -> None:
    alone = read_runs(predictions("a", [[[0.9, 0.1]]]))
    assert averaged(alone, State()) is None


def test_of_several_classes_the_thresholds_are_averaged_too() -> None:
    table = pd.concat([predictions(arm, [[[0.5, 0.2], [0.1, 0.8]]]) for arm in "ab"])
    table = table.drop(columns=["label_id", "pred_id"])
    table = table.assign(y0=[1, 0, 1, 0], y1=[0, 1, 0, 1], d0=0, d1=0)
    state = State()
    for arm, thresholds in (("a", (0.3, 0.9)), ("b", (0.5, 0.5))):
        state.finals[arm] = Final(
            trial=arm,
            arm=arm,
            fold=0,
            seed=0,
            variant="kept",
            metrics={},
            clip_metrics={},
            perturbations={},
            predictions="",
            checkpoint="",
            time=0.0,
            thresholds=thresholds,
        )
    found = averaged(read_runs(table), state)
    assert found is not None
    assert found.said.tolist() == [[[1, 0], [0, 1]]]  # from 0.4 and 0.7 on


@pytest.mark.parametrize("which", ["one_split", "five_folds"])
def test_the_page_shows_it_apart_from_the_arms(which: str, request: pytest.FixtureRequest) -> None:
    reported: Reported = request.getfixturevalue(which)
    scores = score_study(reported.tables)
    assert scores.average is not None and scores.average.exploratory
    assert AVERAGE not in {score.name for score in scores.arms}
    assert AVERAGE not in {c.arm_a for c in scores.family} | {c.arm_b for c in scores.family}
    table = arm_table(reported.tables, scores)
    names = table.frame()["name"].tolist()
    assert names.index(AVERAGE) == len(scores.arms)
    row = table.rows[names.index(AVERAGE)]
    assert row[0].told == f"{AVERAGE} (exploratory: declared by nobody)"
    finals = reported.tables.finals
    kept = finals[(finals["kind"] == "final") & (finals["seed_index"] == 1)]
    columns = [f"p{k}" for k in range(len(reported.tables.classes))]
    mean_NK = kept.groupby("sample_id")[columns].mean().to_numpy().copy()
    labels_N = kept.groupby("sample_id")["label_id"].first().to_numpy()
    own_N = mean_NK[np.arange(len(labels_N)), labels_N]
    mean_NK[np.arange(len(labels_N)), labels_N] = 0
    lead_N = own_N - mean_NK.max(axis=1)
    sure, tied = (lead_N > 1e-6).mean(), (np.abs(lead_N) <= 1e-6).mean()
    # these arms are made: where their probabilities are equal, either class may be named
    assert 0.5 < sure <= scores.average.seeds[0] <= sure + tied

import json
from pathlib import Path

import pytest

from tests.tracking.make_ledger import LedgerMaker, make_study
from vidclass.sweep.ledger import read_events
from vidclass.tracking.runs import STUDY, Cost, Fold, picture


def fold_of(folder: Path) -> Fold:
    fold = Fold(folder.name)
    for event in read_events(folder / "ledger.jsonl"):
        fold.take(event)
    return fold


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> Fold:
    return fold_of(make_study(tmp_path_factory.mktemp("home"), ended=True))


@pytest.mark.parametrize(
    ("trial", "status"),
    [("t0002", "FINISHED"), ("t0003", "FINISHED"), ("t0006", "FINISHED"), ("t0007", "FAILED")],
)
def test_status_of_a_run_follows_that_of_the_trial(fold: Fold, trial: str, status: str) -> None:
    shown = picture(fold, trial, set())
    assert shown.status == status
    ended = fold.state.trials[trial].ended_at
    assert ended is not None and shown.end_ms == round(ended * 1000)


def test_a_trial_has_the_common_core_besides_what_was_searched(fold: Fold) -> None:
    params = picture(fold, "t0010", set(), Cost(1234, 0.25)).params
    core = {"arm", "kind", "fold", "seed", "lr", "batch_size", "epochs_run", "frames_seen"}
    assert core | {"gmacs", "parameters", "search.lr"} <= params.keys()
    assert (params["epochs_run"], params["frames_seen"]) == ("3", "288")
    assert (params["gmacs"], params["parameters"]) == ("0.25", "1234")


def test_params_that_a_retry_may_change_wait_for_the_end(tmp_path: Path) -> None:
    maker = LedgerMaker(tmp_path)
    seen: dict[str, str] = {}
    while maker.write(1):
        fold = fold_of(maker.folder)
        if "t0006" not in fold.state.trials:
            continue
        params = picture(fold, "t0006", set()).params
        assert {name: params[name] for name in seen} == seen, "a param changed, MLflow refuses"
        seen = params
    assert seen["batch_size"] == "32"


def test_points_carry_the_ledgers_time_and_leave_out_what_is_not_finite(fold: Fold) -> None:
    epoch = fold.state.trials["t0002"].epochs[2]
    points = {p.name: p for p in picture(fold, "t0002", {2}).points}
    assert points["valid_loss"][1:] == (0.6, round(epoch.time * 1000), 2)
    assert "train_loss" not in points  # NaN in that epoch


def test_a_repeated_epoch_is_not_shown_twice(fold: Fold) -> None:
    trial = fold.state.trials["t0006"]
    assert trial.epochs[1].attempt == 1
    assert fold.touched["t0006"] == {1, 2, 3}
    events = [p for p in picture(fold, "t0006", {1, 2, 3}).points if p.name == "valid_accuracy"]
    assert [p.step for p in events] == [1, 2, 3]


def test_finals_and_the_study_carry_test_scores_and_search_trials_none(fold: Fold) -> None:
    def names(key: str) -> set[str]:
        return {p.name for p in picture(fold, key, set()).points}

    assert {"test_accuracy", "test_clip_accuracy", "test_reversed_accuracy"} <= names("t0010")
    assert not any(name.startswith("test_") for name in names("t0002"))
    assert {"test_accuracy/early", "test_accuracy/floor majority", "value_of_time/early"} <= names(
        STUDY
    )
    assert "value_of_time/single" not in names(STUDY)


def test_an_interrupted_study_is_killed_until_it_goes_on(tmp_path: Path) -> None:
    maker = LedgerMaker(tmp_path)
    maker.write(5)
    fold = fold_of(maker.folder)
    assert picture(fold, STUDY, set()).status == "RUNNING"
    for name, status in (("interrupted", "KILLED"), ("study_resumed", "RUNNING")):
        fold.take({"event": name, "time": 2e9, "reason": "Ctrl-C", "n": 5})
        assert picture(fold, STUDY, set()).status == status


def test_tags_are_plain_texts(fold: Fold) -> None:
    for key in (STUDY, "t0001", "t0010", "floor-0-majority"):
        assert all(isinstance(v, str) for v in picture(fold, key, set()).tags.values())
    assert json.dumps(picture(fold, "t0002", set()).tags["vidclass.winner"]) == '"true"'

"""Refit: what is scored is trained on train and validation, for all epochs, and says so."""

from pathlib import Path

import pandas as pd
import pytest

from tests.sweep.simulator import Simulation, study
from tests.sweep.test_poses import CLASSES, NUM_VIDEOS, STORE, STUDY, make_store
from vidclass.data.manifest import write_manifest
from vidclass.errors import UserErrors
from vidclass.home import store_folder
from vidclass.report.protocol import REFIT_TOLD
from vidclass.sweep.engine import Engine
from vidclass.sweep.identity import session_facts
from vidclass.sweep.job import run_job
from vidclass.sweep.job_data import split_table
from vidclass.sweep.load import load_study_file
from vidclass.sweep.policy import SCORED_KINDS
from vidclass.sweep.prepare import divide


def test_what_is_scored_is_refit_and_nothing_else(tmp_path: Path) -> None:
    simulation = Simulation(study(finals__refit=True, finals__fewer_videos=[]), tmp_path)
    engine = simulation.open()
    simulation.run(engine)
    engine.close()
    kinds = {trial.kind: bool(trial.config.get("refit")) for trial in engine.state.trials.values()}
    assert kinds == {kind: kind in SCORED_KINDS for kind in kinds} and kinds["final"]
    assert {"search", "control"} <= kinds.keys()


def test_a_search_epoch_is_chosen_and_a_refit_keeps_its_last(tmp_path: Path) -> None:
    """The outcomes fall from epoch to epoch, so that the best and the last differ."""

    class Falling(Simulation):
        def messages(self, job, engine):
            told = super().messages(job, engine)
            for message, payload in told:
                if message == "epoch":
                    payload["metrics"]["valid_accuracy"] = 1 - payload["epoch"] / 10
            return told

    changes = {"finals__refit": True, "search__halving": None, "finals__fewer_videos": []}
    simulation = Falling(study(**changes), tmp_path)
    engine = simulation.open()
    simulation.run(engine)
    engine.close()
    kept = {trial.kind: trial.best_epoch for trial in engine.state.trials.values()}
    assert kept["search"] == 1 and kept["final"] == kept["control"] == 4


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train": {"schedule": "plateau"}}, "no schedule can go by it.*arm single: schedule plat"),
        ({"data": {"task": "multilabel"}}, "thresholds of several labels are chosen on validation"),
    ],
)
def test_what_goes_by_validation_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UserErrors, match=told):
        study(finals__refit=True, **changes)
    assert "yes: what is scored was trained on train and validation" in REFIT_TOLD[True]


def test_a_final_learns_from_the_whole_train_list(home: Path, tmp_path: Path) -> None:
    overrides = ["finals.refit=true", "budget.trials=1", "budget.epochs=3", "finals.time_seeds=0"]
    loaded = load_study_file(str(STUDY), data=str(tmp_path), overrides=overrides)
    engine = Engine(loaded.spec, loaded.name, home, loaded.videos)
    session_facts(engine, loaded, slots=1)
    manifest = make_store(store_folder(home) / STORE, tmp_path)
    splits = divide(manifest, loaded.spec.data)
    write_manifest(manifest, engine.folder / "manifest.parquet")
    splits.to_parquet(engine.folder / "splits.parquet", index=False)
    hashes = {"content_hash": "c" * 64, "split_hash": "s" * 64}
    engine.append("data_ready", **hashes, store_key=STORE, classes=CLASSES, folds=1)
    seen: dict[str, int] = {}
    while (job := engine.propose()) is not None:

        def report(message, payload, job=job):
            if message == "epoch" and payload["epoch"] == 1:
                seen[job["trial"]] = round(payload["metrics"]["frames_seen"])
            engine.on_message(job["trial"], job["attempt"], message, payload)

        run_job(job, engine.home, report)
    assert engine.finished == "complete"
    counts = pd.Series(splits["split"]).value_counts()
    clips = {"search": counts["train"], "final": NUM_VIDEOS - counts["test"]}
    for trial in engine.state.trials.values():
        if trial.kind in clips:
            assert seen[trial.trial] == clips[trial.kind] * loaded.spec.data.window.num_frames
    final = next(trial for trial in engine.state.trials.values() if trial.kind == "final")
    assert final.best_epoch == 3 and final.best_checkpoint is not None
    job = {"study": engine.name, "fold": 0, "variant": "kept", "classes": CLASSES, "seed": 0}
    assert len(split_table(job, home, "test")) == counts["test"]
    engine.close()

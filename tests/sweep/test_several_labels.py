"""Studies of several labels and of windows, from their samples to the page; no Ray."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vidclass.data.annotations import frames_to_intervals, new_annotations
from vidclass.data.frame_store import write_store
from vidclass.data.manifest import Dataset, new_manifest, write_manifest
from vidclass.data.sample_table import labelled, make_samples
from vidclass.home import store_folder
from vidclass.report.collect import collect
from vidclass.report.render import render_report
from vidclass.sweep.division import divide
from vidclass.sweep.engine import Engine
from vidclass.sweep.identity import session_facts
from vidclass.sweep.job import run_job
from vidclass.sweep.load import LoadedStudy, parse_study
from vidclass.sweep.predictions import class_columns
from vidclass.sweep.samples import sample_facts
from vidclass.tracking.artifacts import floor_files, trial_files
from vidclass.training import multilabel
from vidclass.training.checkpoints import CheckpointFolder

NUM_RECORDINGS, NUM_FRAMES, SIDE, FPS = 24, 32, 32, 10.0
CLASSES = ["bright", "run"]
STORE = "recordings"
STUDY = """
study: several
data:
  source: --data
  input_size: 32
  window: {span_s: 0.8, num_frames: 8}
  split: {folds: null, test_share: 0.3, near_duplicates: ignore}
train: {batch_size: 16, lr: 0.004}
budget: {trials: 1, epochs: 4}
search: {halving: null}
finals: {seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 1, fewer_videos: [0.5]}
arms:
  - {name: early, model: early_fusion, fixed: {width: 0.125}}
  - {name: frozen, model: lrcn,
     fixed: {backbone: squeezenet1_1, weights: none, size_1: 8}}
"""
WINDOWS = {"length_frames": 8, "stride_frames": 4, "label_from": "centre"}
KINDS: dict[str, dict[str, Any]] = {
    "multilabel windows": {"data.task": "multilabel", "data.windows": WINDOWS},
    "multilabel videos": {"data.task": "multilabel"},
    "multiclass windows": {"data.windows": WINDOWS},
}


def recordings(folder: Path, *, exclusive: bool, whole: bool) -> tuple[Dataset, pd.DataFrame]:
    """Write a store of squares that are bright or run, for bouts or throughout.

    Returns:
        The data set with its interval labels, and the index of the store.
    """
    generator = np.random.default_rng(0)
    names = [f"r{n:02d}.mp4" for n in range(NUM_RECORDINGS)]
    frames = generator.integers(0, 20, (NUM_RECORDINGS, NUM_FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    annotations = []
    for number, name in enumerate(names):
        each = NUM_FRAMES if whole else 8
        on_TK = np.repeat(generator.random((NUM_FRAMES // each, 2)) < 0.5, each, axis=0)
        if exclusive:
            on_TK[:, 1] = ~on_TK[:, 0]
        left = int(generator.integers(SIDE))
        for t, (bright, run) in enumerate(on_TK):
            left += 3 * int(run)
            frames[number, t, 8:20, (left + np.arange(10)) % SIDE] = 240 if bright else 110
        bouts = frames_to_intervals(on_TK.astype(np.int8), FPS, CLASSES)
        if bouts.empty:  # somebody looked, and saw nothing
            bouts = pd.DataFrame({"start_s": [0.0], "end_s": [0.0], "label": [None]})
        annotations.append(bouts.assign(video_id=name))
    folder.mkdir(parents=True)
    (folder / "a.rgb").write_bytes(frames.tobytes())
    rows = pd.DataFrame({"video_id": names, "path": names, "group": names, "split": None})
    facts = {"num_frames": NUM_FRAMES, "fps": FPS, "width": SIDE, "height": SIDE}
    facts |= {"duration_s": NUM_FRAMES / FPS, "bitrate_bps": 1000.0, "size_bytes": 1000.0}
    manifest = new_manifest(rows.assign(label=None)).assign(**facts, content_hash=names)
    offsets = np.arange(NUM_RECORDINGS) * frames[0].nbytes
    index = pd.DataFrame({"video_id": names, "shard": "a.rgb", "offset": offsets})
    index = index.assign(T=NUM_FRAMES, H=SIDE, W=SIDE, fps=FPS)
    write_store(folder, index, manifest, {})
    intervals = new_annotations(pd.concat(annotations, ignore_index=True))
    return Dataset(folder, manifest, True, annotations=intervals, class_names=tuple(CLASSES)), index


FIRST, *OTHERS = KINDS


@pytest.fixture(
    scope="module", params=[FIRST, *(pytest.param(k, marks=pytest.mark.slow) for k in OTHERS)]
)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A study that has been run to its end."""
    kind: str = request.param
    spec = parse_study(STUDY, changes=KINDS[kind])
    engine = Engine(spec, spec.study, tmp_path_factory.mktemp("home"), "recordings")
    session_facts(engine, LoadedStudy(spec, spec.study, "", "", ""), slots=1)
    exclusive, whole = "multiclass" in kind, "videos" in kind
    dataset, index = recordings(store_folder(engine.home) / STORE, exclusive=exclusive, whole=whole)
    found = labelled(dataset.manifest, dataset, spec.data.labelling)
    samples = make_samples(found, index, spec.data.labelling)
    assert samples is not None
    splits = divide(found.rows_to_divide(), spec.data)
    samples.to_parquet(engine.folder / "samples.parquet", index=False)
    splits.to_parquet(engine.folder / "splits.parquet", index=False)
    write_manifest(dataset.manifest, engine.folder / "manifest.parquet")
    engine.append(
        "data_ready",
        content_hash="c" * 64,
        split_hash="s" * 64,
        store_key=STORE,
        classes=found.classes,
        folds=1,
        num_videos=NUM_RECORDINGS,
        num_groups=NUM_RECORDINGS,
        num_quarantined=0,
        groups_known=True,
        manifest="manifest.parquet",
        splits="splits.parquet",
        samples="samples.parquet",
        **sample_facts(samples, splits, found.classes),
    )
    while (job := engine.propose()) is not None:
        trial, attempt = job["trial"], job["attempt"]
        run_job(job, engine.home, lambda m, p, t=trial, a=attempt: engine.on_message(t, a, m, p))
    engine.append("study_ended", reason=engine.finished)
    engine.close()
    return engine


def test_a_study_of_samples_comes_to_its_end(engine: Engine) -> None:
    assert engine.finished == "complete"
    kinds = {trial.kind for trial in engine.state.trials.values()}
    assert kinds >= {"search", "final", "control", "fewer_videos", "floors"}
    assert {trial.status for trial in engine.state.trials.values()} == {"completed"}
    assert len(engine.state.floors) == 5


def test_no_recording_is_in_two_splits_and_predictions_name_samples(engine: Engine) -> None:
    splits = pd.read_parquet(engine.folder / "splits.parquet")
    samples = pd.read_parquet(engine.folder / "samples.parquet")
    tested = set(splits.loc[splits["split"] == "test", "video_id"])
    wanted = set(samples.loc[samples["video_id"].isin(tested), "sample_id"])
    files = [final.predictions for final in engine.state.finals.values()]
    files += [event["predictions"] for event in engine.state.floors.values()]
    for file in files:
        table = pd.read_parquet(engine.folder / file)
        assert set(table["sample_id"]) == wanted and not table["sample_id"].duplicated().any()
        assert (table["group"] == table["video_id"]).all()


def test_scores_follow_from_the_published_predictions(engine: Engine) -> None:
    for final in engine.state.finals.values():
        table = pd.read_parquet(engine.folder / final.predictions)
        prob_NK = table[class_columns(table, "p")].to_numpy()
        if final.thresholds is None:
            hits = prob_NK.argmax(axis=1) == table["label_id"]
            assert hits.mean() == pytest.approx(final.metrics["accuracy"])
            continue
        label_NK = table[class_columns(table, "y")].to_numpy()
        said_NK = table[class_columns(table, "d")].to_numpy() > 0
        np.testing.assert_array_equal(said_NK, multilabel.decide(prob_NK, final.thresholds))
        mean = multilabel.mean_average_precision(label_NK, prob_NK)
        assert mean == pytest.approx(final.metrics["mean_average_precision"], nan_ok=True)
        exact = multilabel.exact_match(label_NK, said_NK)
        assert exact == pytest.approx(final.metrics["exact_match"])


def test_thresholds_lie_with_the_weights_that_they_belong_to(engine: Engine) -> None:
    several = engine.spec.data.task == "multilabel"
    for name, final in engine.state.finals.items():
        if engine.state.trials[name].kind != "final":
            continue
        folder = CheckpointFolder(engine.folder / "checkpoints" / name)
        kept = folder.load_thresholds(str(final.checkpoint))
        assert (kept is not None) == several
        assert kept == final.thresholds


def test_an_arm_that_sees_motion_learns_it(engine: Engine) -> None:
    metric = engine.spec.primary.metric
    [final] = [
        engine.state.finals[trial.trial] for trial in engine.state.select(kind="final", arm="early")
    ]
    majority = engine.state.floors[0, "majority"]["metrics"][metric]
    assert final.metrics[metric] > majority + 0.1


def test_the_page_speaks_of_what_was_scored(engine: Engine) -> None:
    rendered = render_report(engine.folder, engine.home)
    told = rendered.markdown.read_text(encoding="utf-8")
    tables = collect(engine.folder, engine.home)
    several, unit = engine.spec.data.task == "multilabel", tables.unit
    assert f"on test {unit}s" in told
    assert ("class by class" in told) == several
    assert not (several and "confuses" in told)
    results = pd.read_csv(rendered.html.parent / "results.csv").set_index("name")
    assert ("exact_match" in results) == several
    assert results.loc["early", "low"] < results.loc["early", "primary"] <= 1
    assert "nan" not in told.lower().split()


def test_the_files_of_a_trial_replace_the_confusion_matrix(engine: Engine) -> None:
    several = engine.spec.data.task == "multilabel"
    [trial] = engine.state.select(kind="final", arm="early")
    files = {p.name: p for p in trial_files(engine.state, "several", engine.folder, trial, None)}
    assert ("per_class.csv" in files) == several
    assert ("confusion_matrix.csv" in files) == (not several)
    results = json.loads(files["results.json"].read_text())
    counts = engine.state.data["samples_per_split"]["0"]
    assert results["data_total_rows_train"] == counts["train"]
    assert (results["class_thresholds"] is not None) == several
    assert (results["fit_test_mean_average_precision"] is not None) == several
    if several:
        figures = pd.read_csv(files["per_class.csv"])
        np.testing.assert_allclose(figures["threshold"], results["class_thresholds"], atol=1e-6)
    floor = floor_files(engine.folder, engine.state.floors[0, "middle_frame"], CLASSES)
    wanted = "per_class.csv" if several else "confusion_matrix.csv"
    assert wanted in {path.name for path in floor}

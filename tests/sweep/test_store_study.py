"""Arms on stores of their own: built by Ray Data, resumed, then trained on to the end."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.test_near_duplicates import write
from tests.sweep.noise_study import run_all
from vidclass.data.as_stored import read_as_stored
from vidclass.data.feature_store import FeatureStore
from vidclass.data.frame_store import FrameStore
from vidclass.data.pipeline import Progress
from vidclass.data.store_options import StoreOptions
from vidclass.home import store_folder
from vidclass.report.collect import collect
from vidclass.report.protocol import protocol_rows
from vidclass.study import Study
from vidclass.sweep.arm_data import footage_lines
from vidclass.sweep.engine import Engine
from vidclass.sweep.identity import session_facts
from vidclass.sweep.job_data import split_data
from vidclass.sweep.load import LoadedStudy, load_study_file
from vidclass.sweep.plan import plan_lines
from vidclass.sweep.prepare import prepare_data

NUM_VIDEOS, NUM_FRAMES, FPS = 24, 12, 10
LOW_VIDEO = 5
"""A video of 32 rows, so that a mask over rows 36 to 40 lies outside it; the others have 40."""
STUDY = """
study: stores
data:
  source: --data
  input_size: 32
  window: {span_s: 0.6, num_frames: 6}
  store: {short_side: 32}
  split: {near_duplicates: ignore, folds: null}
train: {batch_size: 8}
budget: {trials: 2, epochs: 1}
search: {halving: null}
finals: {seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 0, fewer_videos: [0.5],
  leak_controls: [corner]}
arms:
  - name: masked
    model: small_cnn
    fixed: {num_convolutions: 2, num_channels: 4, num_dense: 8}
    search:
      data.store.masks:
        - [{left: 0, top: 0, right: 20, bottom: 20, unit: pixels}]
        - [{left: 0, top: 36, right: 20, bottom: 40, unit: pixels}]
  - name: features
    model: backbone_single_frame
    fixed:
      {backbone: squeezenet1_1, weights: none, data.store.fps: 5, data.input: difference}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedStudy:
    """The study over its videos."""
    videos = tmp_path / "videos"
    for n in range(NUM_VIDEOS):
        folder = videos / ("down", "up")[n % 2]
        folder.mkdir(parents=True, exist_ok=True)
        rows = 32 if n == LOW_VIDEO else 40
        generator = np.random.default_rng(n)
        coarse = generator.integers(0, 256, (NUM_FRAMES, rows // 8, 6, 3), dtype=np.uint8)
        write(folder / f"{n:02d}.mp4", coarse.repeat(8, axis=1).repeat(8, axis=2), fps=FPS)
    file = tmp_path / "stores.yaml"
    file.write_text(STUDY)
    return load_study_file(str(file), data=str(videos))


def new_engine(loaded: LoadedStudy, home: Path) -> Engine:
    engine = Engine(loaded.spec, "stores", home, loaded.videos)
    session_facts(engine, loaded, slots=1)
    return engine


@pytest.mark.usefixtures("small_ray")
def test_stores_are_built_once_and_each_trial_sees_its_own(loaded: LoadedStudy, home: Path) -> None:
    (told,) = [line for line in plan_lines(loaded, home) if line.startswith("frames")]
    assert told.startswith("frames     4 stores, about ")

    engine = new_engine(loaded, home)
    stages: list[str] = []

    def killed_before_the_third(progress: Progress) -> None:
        stages.append(progress.stage)
        if progress.stage.startswith("decode store 3 of 4"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_data(engine, killed_before_the_third)
    assert any(stage.startswith("decode store 2 of 4 (masks [{left: 0.0") for stage in stages)
    assert not engine.state.data
    whole = {path.parent.name for path in (home / "store").glob("*/store.json")}
    assert len(whole) == 2
    left = prepared(engine)
    assert {stage.partition(" (")[0] for stage in left} == {
        "decode store 3 of 4",
        "decode store 4 of 4",
    }
    ready = engine.state.data
    assert 0 < ready["decoded"] <= 2 * NUM_VIDEOS  # of the third, a part may have been there
    assert list(ready["stores"])[0] == ready["store_key"] and whole < set(ready["stores"])

    events = engine.state.num_events
    assert prepared(engine) == [] and engine.state.num_events == events
    third = store_folder(home) / list(ready["stores"])[2]
    (third / "store.json").unlink()  # as `vidclass clean` might
    prepared(engine)
    assert engine.state.num_events == events and (third / "store.json").exists()

    stores = [FrameStore.open(store_folder(home) / key) for key in ready["stores"]]
    num_bytes = sum(store.about["num_bytes"] for store in stores)
    assert float(told.split()[4]) == pytest.approx(num_bytes / 2**20, rel=0.1)
    check_the_same_videos(engine)
    features = [each["features"] for _, each in run_all(engine) if each["features"]]
    check_what_trials_saw(engine)
    check_features(engine, {each["key"] for each in features})
    check_use_of_a_winner(engine, Path(loaded.videos))
    check_report(engine)
    engine.close()


def prepared(engine: Engine) -> list[str]:
    """Prepare the data and return the stages that were told."""
    stages: list[str] = []
    prepare_data(engine, lambda progress: stages.append(progress.stage))
    return [stage for stage in stages if stage.startswith("decode")]


def check_the_same_videos(engine: Engine) -> None:
    """What one store could not take is left out for all arms, and its reason names the store."""
    manifest = pd.read_parquet(engine.folder / "manifest.parquet")
    splits = pd.read_parquet(engine.folder / "splits.parquet")
    bad = manifest[manifest["status"] != "ok"]
    assert bad["video_id"].str.contains(f"{LOW_VIDEO:02d}.mp4").tolist() == [True]
    assert "(in the store with masks [{left: 0.0, top: 36.0" in bad["reason"].iloc[0]
    assert not splits["video_id"].isin(bad["video_id"]).any()
    assert engine.state.data["num_videos"] == NUM_VIDEOS - 1
    assert engine.state.data["num_quarantined"] == 1


def check_what_trials_saw(engine: Engine) -> None:
    """Every kind of training and scoring of an arm reads the store of its own options."""
    keys = engine.state.data["stores"]
    kinds = set()
    for trial in engine.state.trials.values():
        job = engine._job(trial)
        seen = split_data(job, engine.home, "train").store if trial.kind != "floors" else None
        kinds.add(trial.kind)
        if trial.kind == "floors":
            assert job["store_key"] == engine.state.data["store_key"]
        elif trial.arm == "features":
            assert keys[job["store_key"]]["fps"] == 5 and seen is not None
            assert json.loads((seen.path / "store.json").read_text())["of"] == job["store_key"]
        else:
            wanted = trial.config["data"]["store"]["masks"]
            assert wanted and keys[job["store_key"]]["masks"] == wanted
            assert seen is not None and seen.path.name == job["store_key"]
    assert kinds == {"floors", "search", "final", "fewer_videos", "leak_control"}
    searched = engine.state.select(kind="search", arm="masked")
    assert len({engine._job(trial)["store_key"] for trial in searched}) == 2
    winner = engine.state.winners["masked", 0]["trial"]
    (final,) = engine.state.select(kind="final", arm="masked")
    assert final.config["data"]["store"] == engine.state.trials[winner].config["data"]["store"]


def check_features(engine: Engine, keys: set[str]) -> None:
    """Features are those of the arm's own frames: half as many as in the study's store."""
    (key,) = keys
    store = FeatureStore.open(store_folder(engine.home) / key)
    default = FrameStore.open(store_folder(engine.home) / engine.state.data["store_key"])
    for video_id in default.index["video_id"]:
        if video_id in store:
            assert len(default.frames(video_id)) == NUM_FRAMES
            assert len(store.features(video_id)) == NUM_FRAMES // 2


def check_use_of_a_winner(engine: Engine, videos: Path) -> None:
    """A model in use sees a file as its arm's store keeps it."""
    model = Study(engine.name, engine.folder).best_model("masked")
    options = StoreOptions.model_validate(model.store)
    assert options.masks
    file = videos / "up" / "01.mp4"
    own = FrameStore.open(store_folder(engine.home) / model.job["store_key"])
    (video_id,) = [name for name in own.index["video_id"] if name.endswith("01.mp4")]
    np.testing.assert_array_equal(read_as_stored(file, options)[0], own.frames(video_id))
    assert model.predict(file)["prediction"].iloc[0] in ("down", "up")


def check_report(engine: Engine) -> None:
    """The report tells the stores and that arms see other footage."""
    rows = dict(protocol_rows(collect(engine.folder, engine.home), "held out"))
    first, *further = engine.state.data["stores"]
    assert rows["Store"].startswith(first[:12])
    assert all(key[:12] in rows["Further stores"] for key in further)
    assert "fps 5.0" in rows["Further stores"]
    assert "masked sees other footage: data.store.masks searched" in footage_lines(engine.spec)

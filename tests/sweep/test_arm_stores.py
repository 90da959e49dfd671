"""Fields of `data.store` that an arm has of its own: what is allowed, what a trial sees."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from vidclass.data.store_options import StoreOptions
from vidclass.errors import UserErrors
from vidclass.sweep.arm_data import class_mistakes, footage_lines
from vidclass.sweep.arm_stores import store_key_of, store_keys, stores_of, told_store
from vidclass.sweep.engine import job_data
from vidclass.sweep.hashing import results_hash
from vidclass.sweep.load import corners, load_study_file, parse_study, trial_config
from vidclass.sweep.points import distributions, finished_study, next_point
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State, Trial

STUDY = """\
study: tiny
data:
  store: {{short_side: 48, fps: 10}}
  windows: {windows}
  task: {task}
arms:
  - {{name: plain, model: average_fusion}}
  - name: own
    model: average_fusion
    fixed: {fixed}
    search: {search}
    start: {start}
"""
CLOCK = "{left: 0, top: 0.9, right: 0.3, bottom: 1}"
MASKS = f"[[], [{CLOCK}]]"


def study(
    fixed: str = "{}", search: str = "{}", start: str = "{}", windows: str = "null"
) -> StudySpec:
    task = "multiclass"
    return parse_study(
        STUDY.format(fixed=fixed, search=search, start=start, windows=windows, task=task)
    )


def test_every_combination_of_an_arm_is_a_store_and_each_is_built_once() -> None:
    spec = study(
        "{data.store.greyscale: true}",
        f"{{data.store.short_side: [32, 48], data.store.masks: {MASKS}, data.store.fps: [10]}}",
    )
    stores = stores_of(spec)
    assert stores[0] == spec.data.store
    assert len(stores) == 5 and all(store.greyscale for store in stores[1:])
    assert {(store.short_side, len(store.masks)) for store in stores[1:]} == {
        (side, masks) for side in (32, 48) for masks in (0, 1)
    }
    assert stores_of(study("{data.store.short_side: 48}")) == [spec.data.store]
    same = study("{data.store.format: jpeg}", "{data.store.quality: [null, 90]}")
    assert len(stores_of(same)) == 2  # 90 is what null stands for


def test_a_trial_sees_the_store_of_its_own_options() -> None:
    spec = study("{data.store.fps: null, data.store.stride: 2}", f"{{data.store.masks: {MASKS}}}")
    stores = stores_of(spec)
    assert [told_store(store, spec.data.store) for store in stores] == [
        "data.store",
        "fps null, stride 2",
        "fps null, stride 2, masks [{left: 0.0, top: 0.9, right: 0.3, bottom: 1.0}]",
    ]
    keys = {f"key{n}": store.model_dump(mode="json") for n, store in enumerate(stores)}
    ready = {"classes": [], "store_key": "key0", "stores": keys}
    state = State(spec=spec.model_dump(mode="json"), data=ready)
    assert store_keys(ready) == ["key0", "key1", "key2"]
    own, plain = spec.arm("own"), spec.arm("plain")
    seen = [job_data(state, trial_config(spec, own, point))["store_key"] for point in corners(own)]
    assert seen == ["key1", "key2"]
    assert job_data(state, trial_config(spec, plain, {}))["store_key"] == "key0"
    assert job_data(state, {"model": "floors"})["store_key"] == "key0"


def test_ledgers_that_know_one_store_still_give_jobs() -> None:
    assert store_keys({}) == []
    assert store_keys({"store_key": "k"}) == ["k"]
    assert store_key_of({"store_key": "k"}, {"short_side": 48, "fps": None}) == "k"
    kept = {"k": {"short_side": 48}, "m": {"short_side": 48, "greyscale": True}}
    # as a version would have written it that had fewer fields
    options = StoreOptions(short_side=48).model_dump(mode="json")
    assert store_key_of({"store_key": "k", "stores": kept}, options) == "k"


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (
            {"search": "{data.store.short_side: {low: 32, high: 64}}"},
            ["by a list", "from 32 to 64", "line 11", "data.store.short_side: [32, 64]"],
        ),
        ({"fixed": "{data.store.shrt_side: 32}"}, ["mean data.store.short_side?", "line 10"]),
        ({"fixed": "{data.store.short_side: 4}"}, ["store.short_side", "line 8"]),
        ({"fixed": "{data.store.stride: 2}"}, ["at most one of fps, stride and num_frames"]),
        ({"search": "{data.store.quality: [75, 90]}"}, ["quality belongs to format jpeg"]),
        (
            {"fixed": "{data.store.fps: null}",
             "search": "{data.store.stride: [1, 2], data.store.num_frames: [null, 16]}"},
            ["at most one of fps, stride and num_frames"],
        ),
        (
            {"search": "{data.store.short_side: [32, 48]}", "start": "{data.store.short_side: 40}"},
            ["one of the choices", "data.store.short_side: 40", "line 12", "one of [32, 48]"],
        ),
        (
            {"search": "{data.store.short_side: [24, 48]}"},
            ["never scaled up", "short_side 24, data.input_size 32", "line 8"],
        ),
        (
            {"fixed": "{data.crop.scale: 1.25}", "search": "{data.store.short_side: [32, 48]}"},
            ["at least 40"],
        ),
        (
            {"search": "{data.store.masks: [[{left: 0.5, top: 0, right: 0.2, bottom: 1}], []]}"},
            ["left is smaller than its right"],
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_lines_before_anything_runs(
    parts: dict[str, str], told: list[str]
) -> None:
    with pytest.raises(UserErrors) as caught:
        study(**parts)
    for words in told:
        assert words in str(caught.value)
    assert len(caught.value.errors) == 1


@pytest.mark.parametrize(
    ("fixed", "search", "line"),
    [
        ("{data.store.fps: 5}", "{}", "line 10"),
        ("{}", "{data.store.fps: [5, 10]}", "line 11"),
        ("{data.store.fps: null, data.store.stride: 2}", "{}", "line 10"),
    ],
)
def test_recordings_in_windows_have_one_frame_rate(fixed: str, search: str, line: str) -> None:
    with pytest.raises(UserErrors) as caught:
        study(fixed, search, windows="{length_s: 2}")
    assert "has one frame rate" in str(caught.value) and line in str(caught.value)
    assert study("{data.store.fps: 10}", windows="{length_s: 2}")
    assert study("{}", f"{{data.store.masks: {MASKS}}}", windows="{length_s: 2}")


def test_what_arms_may_store_leaves_the_identity_of_studies_without_it_alone() -> None:
    plain = study()
    assert results_hash(plain) == results_hash(parse_study(
        "study: tiny\ndata: {store: {short_side: 48, fps: 10}}\narms:\n"
        "  - {name: plain, model: average_fusion}\n  - {name: own, model: average_fusion}\n"
    ))  # fmt: skip
    assert results_hash(plain) != results_hash(study("{data.store.greyscale: true}"))


def test_arms_on_other_frames_are_named_as_such() -> None:
    spec = study("{data.store.greyscale: true}", "{data.store.short_side: [32, 48]}")
    assert list(footage_lines(spec)) == [
        "own sees other footage: data.store.greyscale True, data.store.short_side searched"
    ]


def test_pairs_of_classes_are_checked_whatever_else_an_arm_fixes() -> None:
    spec = study("{data.store.quality: 80}", "{data.store.format: [jpeg]}")
    assert class_mistakes(spec, ["sit", "stand"]) == []


@pytest.mark.parametrize("sampler", ["quasi_random", "tpe", "random"])
def test_lists_of_rectangles_are_choices_of_every_sampler(sampler: str, tmp_path: Path) -> None:
    spec = study(search=f"{{data.store.masks: {MASKS}, lr: {{low: 0.001, high: 0.01}}}}")
    spec = spec.model_copy(update={"search": spec.search.model_copy(update={"sampler": sampler})})
    arm, state, seen = spec.arm("own"), State(), []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(1, 13):
            point = next_point(state, spec, arm, 0, number)
            seen.append(len(point["data.store.masks"]))
            state.trials[f"t{number}"] = _ended(number, point)
        assert len(finished_study(state, spec, arm, 0).trials) == 12
        assert set(distributions(arm)) == {"data.store.masks", "lr"}
    assert set(seen) == {0, 1}


def _ended(number: int, params: dict[str, Any]) -> Trial:
    return Trial(
        trial=f"t{number}", kind="search", arm="own", fold=0, seed=0, number=number,
        params=params, config={}, parent=None, epochs_planned=1, variant="kept", proposed_at=0.0,
        status="completed", best_value=number / 100,
    )  # fmt: skip


def test_the_smoke_run_on_other_videos_stores_them_in_one_way(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    text = STUDY.format(
        fixed="{data.store.greyscale: true}",
        search=f"{{data.store.masks: {MASKS}}}",
        start="{data.store.masks: []}",
        windows="null",
        task="multiclass",
    )
    file.write_text(text)
    assert len(stores_of(load_study_file(str(file), smoke=True).spec)) == 3
    file.write_text(text.replace("data:\n", "data:\n  source: --data\n"))
    assert len(stores_of(load_study_file(str(file), look_only=True).spec)) == 3
    assert len(stores_of(load_study_file(str(file), smoke=True).spec)) == 1

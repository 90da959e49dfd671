"""Plans of several workers a trial that can't fit are refused before anything starts."""

from pathlib import Path

import pandas as pd
import pytest

from vidclass.data.frame_store import write_store
from vidclass.errors import UserErrors
from vidclass.sweep.engine import Engine
from vidclass.sweep.load import parse_study
from vidclass.sweep.placement import as_grown, check_placement, needs_stream, num_places
from vidclass.sweep.plan import _worker_lines
from vidclass.sweep.policy import Propose
from vidclass.sweep.spec import StudySpec

STUDY = """
study: placed
workers: {workers}
data: {{source: moving_shapes, preset: smoke, input_size: 32, stream: {stream}}}
train: {{batch_size: {batch_size}}}
arms:
  - {{name: light, model: single_frame, fixed: {{width: 0.125}}, workers: 1}}
  - {{name: heavy, model: slow_fusion, fixed: {{width: 0.125}}}}
"""
CPU = {"CPU": 1.0}
GPU = {"CPU": 1.0, "GPU": 1.0}
TWO, FOUR = {"CPU": 2.0, "memory": 1e9}, {"CPU": 4.0, "memory": 2e9}


def spec(workers: int, stream: str = "auto", batch_size: int = 32) -> StudySpec:
    return parse_study(STUDY.format(workers=workers, stream=stream, batch_size=batch_size))


@pytest.mark.parametrize(
    ("bundle", "nodes", "places"),
    [
        (CPU, [TWO], 2),
        (CPU, [TWO, FOUR], 6),
        ({"CPU": 0.5}, [TWO], 4),
        (GPU, [TWO, FOUR], 0),
        (GPU, [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 1.0, "GPU": 4.0}], 3),
        ({"CPU": 3.0}, [TWO, FOUR], 1),
        ({"CPU": 1 / 3}, [{"CPU": 1.0}], 3),
    ],
)
def test_places_are_whole_on_one_node(bundle: dict, nodes: list[dict], places: int) -> None:
    assert num_places(bundle, nodes) == places


@pytest.mark.parametrize(
    ("workers", "slots", "bundle", "nodes", "streams", "rule"),
    [
        (2, 2, CPU, [TWO], False, None),
        (3, 2, CPU, [TWO], False, "a slot for each of its workers"),
        (2, 2, CPU, [TWO], True, "CPU is left for Ray Data"),
        (2, 4, {"CPU": 0.5}, [TWO], True, None),
        (2, 2, CPU, [TWO, {"CPU": 1.0}], True, None),
        (3, 3, {"CPU": 1.5}, [TWO, TWO], False, "finds 1.5 CPU on one node"),
        (2, 2, GPU, [{"CPU": 4.0, "GPU": 1.0}], False, "finds 1 CPU \\+ 1 GPU on one node"),
        (1, 1, CPU, [{"CPU": 1.0}], True, None),
    ],
)
def test_a_plan_that_cannot_fit_is_refused(
    workers: int, slots: int, bundle: dict, nodes: list[dict], streams: bool, rule: str | None
) -> None:
    if rule is None:
        check_placement(spec(workers), slots, bundle, nodes, streams=streams)
        return
    with pytest.raises(UserErrors, match=rule) as raised:
        check_placement(spec(workers), slots, bundle, nodes, streams=streams)
    [error] = raised.value.errors
    assert f"workers {workers}" in error.received or f"{workers} x" in error.received
    assert "heavy" in error.received and error.remedy


def test_a_cluster_that_grows_counts_as_grown() -> None:
    head = {"CPU": 2.0, "memory": 1e9}
    grown = as_grown([head], {"CPU": 10.0, "GPU": 2.0})
    assert grown == [head, {"CPU": 8.0, "GPU": 2.0}]
    assert num_places(GPU, grown) == 2
    assert as_grown([head], {"CPU": 2.0}) == [head]
    check_placement(spec(2), 2, GPU, grown, streams=True)


def test_a_batch_too_small_for_its_workers_is_refused() -> None:
    with pytest.raises(UserErrors, match="two clips or more of every accumulated part"):
        spec(4, batch_size=6)
    assert spec(4, batch_size=8).workers_of("heavy") == 4
    assert spec(4, batch_size=8).workers_of("light") == 1


def test_clips_are_streamed_where_no_node_could_hold_them(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "key"
    folder.mkdir(parents=True)
    with (folder / "a.rgb").open("wb") as file:
        file.truncate(1_500_000_000)  # of holes: it takes no room
    index = pd.DataFrame({"video_id": ["v"], "shard": ["a.rgb"], "offset": [0], "T": [500]})
    index = index.assign(H=1000, W=1000, fps=10.0)
    write_store(folder, index, index[["video_id"]], {})
    data = {"store_key": "key"}
    assert needs_stream(spec(2), tmp_path, data, [TWO, FOUR])
    assert not needs_stream(spec(2), tmp_path, data, [FOUR])
    assert not needs_stream(spec(1), tmp_path, data, [TWO])
    assert needs_stream(spec(2, "always"), tmp_path, data, [FOUR])
    assert not needs_stream(spec(2, "never"), tmp_path, data, [TWO])


def test_the_engine_starts_as_many_trials_as_their_workers_find_slots(tmp_path: Path) -> None:
    engine = Engine(spec(2), "placed", tmp_path)
    engine.slots = 3
    trials = [("light", True), ("heavy", True), ("light", False)]
    engine.append(
        "study_started",
        spec=spec(2).model_dump(mode="json"),
        spec_hash="h",
        slots=3,
        command="",
        source="",
        version="0",
        python="3",
    )
    for arm, fits in trials:
        proposal = Propose("search", arm, 0, 0, 0, None)
        assert engine._has_room(proposal) is fits
        engine.append(
            "trial_proposed",
            trial=f"t{len(engine.state.trials) + 1:04d}",
            kind="search",
            arm=arm,
            fold=0,
            seed=0,
            number=0,
            params={},
            config={"train": {}},
            parent=None,
            epochs=1,
            variant="kept",
            attempt=1,
            resume_from=None,
            source="policy",
        )
        if not fits:
            break
    engine.close()


def test_the_dry_run_names_the_workers() -> None:
    [line] = _worker_lines(spec(2))
    assert line.startswith("workers    2 a trial of heavy;")
    assert list(_worker_lines(spec(1))) == []

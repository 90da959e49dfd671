"""A study looks for copies and confounds before it begins: refused, told, or not looked for."""

from pathlib import Path

import pytest

from tests.data.test_near_duplicates import footage, write
from vidclass.errors import UserErrors
from vidclass.sweep.engine import Engine
from vidclass.sweep.identity import session_facts
from vidclass.sweep.load import load_study_file
from vidclass.sweep.prepare import prepare_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of seven videos; one of walk is one of run, smaller and compressed again."""
    root = tmp_path_factory.mktemp("set")
    for number in range(14):
        label = ("walk", "run")[number % 2]
        (root / label).mkdir(exist_ok=True)
        write(root / label / f"{number:02d}.mp4", footage(number)[:40])
    write(root / "walk" / "00.mp4", footage(1)[:40, ::2, ::2], crf=32)
    return root


def prepared(folder: Path, home: Path, *overrides: str) -> Engine:
    """Return the engine of the smoke study on ``folder``, its data prepared."""
    overrides = ("data.store.short_side=32", "data.split.folds=7", *overrides)
    loaded = load_study_file("smoke", data=str(folder), overrides=overrides)
    engine = Engine(loaded.spec, loaded.name, home, loaded.videos)
    session_facts(engine, loaded, slots=1)
    try:
        prepare_data(engine, lambda _: None)
    finally:
        engine.close()
    return engine


@pytest.mark.usefixtures("small_ray")
def test_footage_in_two_splits_is_refused_and_both_files_are_named(
    folder: Path, home: Path
) -> None:
    with pytest.raises(UserErrors, match="show the same footage") as told:
        prepared(folder, home)
    assert "run/01.mp4" in str(told.value) and "walk/00.mp4" in str(told.value)
    assert len(told.value.errors) == 1


@pytest.mark.usefixtures("small_ray")
def test_footage_in_two_splits_can_be_told_instead(folder: Path, home: Path) -> None:
    engine = prepared(folder, home, "data.split.near_duplicates=warn")
    (pair,) = engine.state.data["near_duplicates"]
    assert "run/01.mp4" in pair and "walk/00.mp4" in pair
    rows = {row["column"]: row for row in engine.state.data["confounds"]}
    assert rows["fps"]["verdict"] == "one value only"
    assert rows["width"]["association"] is not None  # of the copy it is half


@pytest.mark.usefixtures("small_ray")
def test_one_group_for_both_is_no_leak(folder: Path, home: Path, tmp_path: Path) -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mp4"))
    copied = {"run/01.mp4": "one", "walk/00.mp4": "one"}
    rows = [f"{name},{copied.get(name, name)}" for name in names]
    root = tmp_path / "grouped"
    root.mkdir()
    for label in ("walk", "run"):
        (root / label).symlink_to(folder / label)
    (root / "groups.csv").write_text("video,group\n" + "\n".join(rows) + "\n")
    engine = prepared(root, home, "data.split.folds=6")
    assert engine.state.data["near_duplicates"] == []
    assert engine.state.data["num_groups"] == 13


@pytest.mark.usefixtures("small_ray")
def test_nobody_looks_where_that_is_asked_for(folder: Path, home: Path) -> None:
    engine = prepared(folder, home, "data.split.near_duplicates=ignore")
    assert engine.state.data["near_duplicates"] is None

"""Study files: found, read, overridden; every mistake told at once with its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidclass.errors import UserError, UserErrors
from vidclass.sweep.load import find_study, load_study_file, parse_study, results_hash

GOOD = """\
study: tiny
arms:
  - name: slow
    model: slow_fusion
    fixed: {width: 0.125}
    search: {lr: {low: 0.001, high: 0.01, log: true}}
"""


def mistakes(text: str) -> str:
    with pytest.raises(UserErrors) as caught:
        parse_study(text)
    return str(caught.value)


def test_all_mistakes_are_told_at_once_with_their_lines() -> None:
    told = mistakes(
        "study: Tiny\n"  # line 1: capital
        "budgt: {}\n"  # line 2: typo
        "budget: {epochs: 0}\n"  # line 3: too small
        "arms:\n"
        "  - {name: a, model: slow_fusion, search: {lr: {low: 2, high: 1}}}\n"  # line 5
    )
    assert told.startswith("4 mistakes:")
    for line, word in ((1, "study"), (2, "did you mean budget?"), (3, "epochs"), (5, "below high")):
        assert any(f"line {line})" in row and word in row for row in told.splitlines()), word


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("model: slow_fuson", "did you mean slow_fusion"),
        ("model: slow_fusion\n    fixed: {widht: 1}", "did you mean width?"),
        ("model: slow_fusion\n    start: {lr: 0.1}", "searched fields only"),
        ("model: slow_fusion\n    fixed: {lr: 100}", "less than or equal to 10"),
        ("model: late_fusion\n    fixed: {frame_distance: 30}", "window of 10 frames"),
        ("model: slow_fusion\n    fixed: {epsilon: 0.5}", "epsilon"),
    ],
)
def test_mistakes_of_an_arm(change: str, told: str) -> None:
    assert told in mistakes(f"study: tiny\narms:\n  - name: a\n    {change}\n")


def test_no_arm_twice_the_same_arm_and_a_missing_control() -> None:
    assert "one arm or more" in mistakes("study: tiny\narms: []\n")
    twice = "  - {name: a, model: slow_fusion}\n" * 2
    told = mistakes(f"study: tiny\ncomparisons: vs_control\narms:\n{twice}")
    assert "a twice" in told
    assert "vs_control needs" in told


@pytest.mark.parametrize("text", ["- a list", "study: [", "", "just words"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_study(text)


@given(st.text(max_size=200))
def test_any_text_is_a_study_or_a_user_error(text: str) -> None:
    try:
        spec = parse_study(text)
    except (UserError, UserErrors):
        return
    assert spec.arms


def test_a_file_cannot_run_code() -> None:
    with pytest.raises(UserError):
        parse_study("study: !!python/object/apply:os.system ['true']\n")


def test_an_unknown_study_names_those_there_are() -> None:
    with pytest.raises(UserError, match="did you mean fusion_study"):
        find_study("fusion_studi")


def test_overrides_make_a_study_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(GOOD)
    plain = load_study_file(str(file))
    changed = load_study_file(str(file), overrides=["budget.epochs=3", "arms.0.fixed.width=0.25"])
    assert plain.name == "tiny"
    assert changed.spec.budget.epochs == 3
    assert changed.spec.arms[0].fixed["width"] == 0.25
    assert changed.name == f"tiny@{results_hash(changed.spec)[:8]}"
    assert load_study_file(str(file), smoke=True).name.startswith("tiny@")


def test_slots_do_not_change_the_identity(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(GOOD)
    assert load_study_file(str(file), overrides=["slots=7"]).name == "tiny"


def test_a_limit_can_be_raised_and_the_study_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(GOOD)
    raised = load_study_file(str(file), overrides=["budget.hours=3", "budget.failures=50"])
    assert raised.name == "tiny"
    assert raised.spec.budget.hours == 3


def test_an_override_without_a_value_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(GOOD)
    with pytest.raises(UserError, match="a.b=c"):
        load_study_file(str(file), overrides=["budget.epochs"])


@pytest.mark.parametrize("dotted", ["arms.x.name=1", "arms.9.name=a", "study.a.b=1"])
def test_an_override_of_nothing_is_refused(tmp_path: Path, dotted: str) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(GOOD)
    with pytest.raises(UserError, match="--set"):
        load_study_file(str(file), overrides=[dotted])


SEVERAL = GOOD + "data: {task: multilabel}\n"


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        (GOOD, "accuracy"),
        (SEVERAL, "mean_average_precision"),
        (SEVERAL + "primary: {unit: group}\n", "mean_average_precision"),
        (SEVERAL + "primary: {metric: exact_match}\n", "exact_match"),
    ],
)
def test_the_primary_figure_follows_the_task(text: str, metric: str) -> None:
    spec = parse_study(text)
    assert spec.primary.metric == metric
    again = type(spec).model_validate(spec.model_dump(mode="json"))
    assert results_hash(again) == results_hash(spec)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SEVERAL + "primary: {metric: accuracy}\n", "mean_average_precision, macro_f1"),
        (GOOD + "primary: {metric: exact_match}\n", "accuracy, macro_f1"),
        (GOOD + "data: {windows: {stride_s: 1}}\n", "length_frames or a length_s"),
    ],
)
def test_a_figure_or_window_that_does_not_fit_is_refused(text: str, told: str) -> None:
    assert told in mistakes(text)


def test_the_task_and_windows_are_part_of_the_identity() -> None:
    texts = [GOOD, SEVERAL, GOOD + "data: {windows: {length_s: 1}}\n"]
    assert len({results_hash(parse_study(text)) for text in texts}) == 3

"""Fields of `data` that an arm has of its own."""

import pytest

from vidclass.errors import UserErrors
from vidclass.sweep.arm_data import arm_data_fields, class_mistakes, footage_lines
from vidclass.sweep.engine import job_data
from vidclass.sweep.load import parse_study, trial_config
from vidclass.sweep.points import distributions
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State

STUDY = """\
study: tiny
data: {{window: {{span_s: 1.0, num_frames: 8}}, views: 2}}
arms:
  - {{name: plain, model: average_fusion}}
  - name: own
    model: average_fusion
    fixed: {fixed}
    search: {search}
"""


def study(fixed: str = "{}", search: str = "{}") -> StudySpec:
    return parse_study(STUDY.format(fixed=fixed, search=search))


def config(spec: StudySpec, arm: str = "own", **params: object) -> dict[str, object]:
    return trial_config(spec, spec.arm(arm), params)


def test_an_arm_without_fields_of_its_own_has_the_studys() -> None:
    spec = study()
    plain = config(spec, "plain")
    assert plain.keys() == {"model", "options", "train"}
    state = State(spec=spec.model_dump(mode="json"), data={"classes": [], "store_key": "k"})
    assert job_data(state, plain)["sampling"]["kind"] == "random"


def test_fixed_and_searched_fields_reach_the_job_and_the_model() -> None:
    spec = study(
        "{data.sampling.kind: segment, data.window.num_frames: 4, data.input_size: 48}",
        "{data.augment.rotation_degrees: {low: 0, high: 20}, data.crop.scale: [1.0, 1.25]}",
    )
    assert set(distributions(spec.arm("own"))) == {
        "data.augment.rotation_degrees",
        "data.crop.scale",
    }
    found = config(spec, **{"data.augment.rotation_degrees": 7.5, "data.crop.scale": 1.25})
    assert found["options"]["window_frames"] == 4
    assert found["options"]["input_size"] == 48
    state = State(spec=spec.model_dump(mode="json"), data={"classes": [], "store_key": "k"})
    job = job_data(state, found)
    assert job["sampling"]["kind"] == "segment"
    assert job["augment"]["rotation_degrees"] == 7.5
    assert job["crop"]["scale"] == 1.25
    assert job["window"] == {"span_s": 1.0, "num_frames": 4}
    assert job["input_size"] == 48 and job["views"] == 2
    assert job_data(state, config(spec, "plain"))["input_size"] == 32


def test_a_ledger_of_the_first_version_gives_a_job() -> None:
    content = study().model_dump(mode="json")
    del content["data"]["sampling"], content["data"]["crop"]
    job = job_data(State(spec=content, data={"classes": [], "store_key": "k"}), {})
    assert job["sampling"] == job["crop"] == {}


@pytest.mark.parametrize(
    ("fixed", "search", "told"),
    [
        ("{data.sampling.knd: even}", "{}", "did you mean data.sampling.kind?"),
        ("{data.sampling.kind: evn}", "{}", "sampling.kind"),
        ("{data.sampling.kind: even}", "{}", "the same frames in every view"),
        ("{data.views: 3}", "{}", "fields of an arm"),
        ("{data.crop.test: five}", "{}", "fields of an arm"),
        ("{}", "{data.augment.hue: {low: 0, high: 2}}", "less than or equal to 0.5"),
        ("{}", "{data.sampling.kind: [random, first]}", "the same frames in every view"),
    ],
)
def test_mistakes_are_told_before_anything_runs(fixed: str, search: str, told: str) -> None:
    with pytest.raises(UserErrors) as caught:
        study(fixed, search)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("of_study", "fixed", "search", "told"),
    [
        ("{stride: 4}", "{}", "{}", "belongs to kind dense.*stride 4, kind random .*line 2"),
        ("{start_s: 1.0}", "{}", "{}", "belongs to kind fixed"),
        ("{stride: 1, start_s: 0}", "{}", "{}", None),
        ("{kind: dense, stride: 4}", "{}", "{}", None),
        ("{stride: 4}", "{data.sampling.kind: dense}", "{}", None),
        ("{stride: 4}", "{}", "{data.sampling.kind: [random, dense]}", None),
        ("{}", "{data.sampling.stride: 4}", "{data.sampling.kind: [random, dense]}", None),
        ("{}", "{data.sampling.stride: 4}", "{}", "arm own, kind random .*line 7"),
        ("{}", "{}", "{data.sampling.stride: [1, 2]}", "arm own, kind random .*line 8"),
        ("{}", "{}", "{data.sampling.stride: {low: 1, high: 4}}", "arm own, kind random"),
        (
            "{kind: dense, stride: 2}",
            "{data.sampling.kind: uniform, data.sampling.stride: 4}",
            "{}",
            "arm own, kind uniform",
        ),
        (
            "{}",
            "{data.sampling.start_s: 0.5}",
            "{data.sampling.kind: [random, uniform]}",
            "start_s belongs to kind fixed.*arm own, kind random or uniform",
        ),
    ],
)
def test_a_field_that_no_kind_of_its_arm_reads_is_refused(
    of_study: str, fixed: str, search: str, told: str | None
) -> None:
    text = STUDY.format(fixed=fixed, search=search).replace(
        "views: 2", f"views: 2, sampling: {of_study}"
    )
    if told is None:
        assert parse_study(text).arms
        return
    with pytest.raises(UserErrors, match=told):
        parse_study(text)


def test_what_is_scored_is_the_same_for_all_arms() -> None:
    names = arm_data_fields()
    assert {"data.sampling.kind", "data.geometry", "data.store.short_side"} <= set(names)
    assert not any("views" in name or ".test" in name for name in names)


def test_pairs_of_an_unknown_class_are_named_for_study_and_arms() -> None:
    spec = study("{data.augment.reverse_pairs: [[sit, stnd]]}")
    assert not class_mistakes(spec, ["sit", "stnd"])
    assert "stnd" in str(class_mistakes(spec, ["sit", "stand"])[0])


def test_arms_that_see_other_footage_are_named() -> None:
    assert not list(footage_lines(study("{data.augment.hue: 0.1}")))
    lines = list(footage_lines(study("{data.window.span_s: 2.0}", "{data.crop.scale: [1, 1.1]}")))
    assert lines == [
        "own sees other footage: data.window.span_s 2.0, data.crop.scale searched",
    ]

"""The hash of a study stays what it was when vidclass gains fields."""

import pytest

from vidclass.sweep.hashing import FIRST_FIELDS, results_hash
from vidclass.sweep.load import parse_study

TEXT = """\
study: tiny
train: {batch_size: 32}
search: {halving: null}
arms:
  - name: slow
    model: slow_fusion
    fixed: {width: 0.125}
    search: {lr: {low: 0.001, high: 0.01, log: true}}
    start: {lr: 0.002}
  - {name: one, model: single_frame}
"""
HASH_OF_THE_FIRST_VERSION = "bb2c7852a411dc6d0f02278e10e1e5b5e9f30cb600d46091eb44fe7a48234609"


def test_a_study_keeps_the_hash_that_the_first_version_gave_it() -> None:
    assert results_hash(parse_study(TEXT)) == HASH_OF_THE_FIRST_VERSION


@pytest.mark.parametrize(
    "change",
    [
        {"data.sampling.kind": "random"},
        {"data.crop": {}},
        {"data.augment.rotation_degrees": 0.0},
        {"title": "other"},
        {"budget.hours": 3},
    ],
)
def test_a_new_field_at_its_default_changes_nothing(change: dict[str, object]) -> None:
    assert results_hash(parse_study(TEXT, changes=change)) == HASH_OF_THE_FIRST_VERSION


@pytest.mark.parametrize(
    "change",
    [
        {"data.sampling.kind": "segment"},
        {"data.crop.scale": 1.1},
        {"data.augment.rotation_degrees": 5.0},
        {"data.input_size": 48},
        {"budget.epochs": 9},
        {"train.class_balance": "oversample"},
        {"arms.1.fixed": {"data.sampling.kind": "segment"}},
        {"search.halving": {}},
    ],
)
def test_what_shapes_results_changes_the_hash(change: dict[str, object]) -> None:
    assert results_hash(parse_study(TEXT, changes=change)) != HASH_OF_THE_FIRST_VERSION


def test_the_first_fields_are_all_still_there() -> None:
    content = parse_study(TEXT.replace("halving: null", "halving: {}")).model_dump(mode="json")
    names = set()

    def walk(value: object, at: str) -> None:
        if isinstance(value, dict):
            for name, part in value.items():
                names.add(f"{at}{name}")
                walk(part, f"{at}{name}.")
        elif isinstance(value, list):
            for part in value:
                walk(part, at)

    walk(content, "")
    assert names >= FIRST_FIELDS

"""Every field of `data.store` can be fixed and searched by an arm, whichever are added."""

import pytest

from vidclass.data.store_options import StoreOptions
from vidclass.sweep.arm_data import arm_data_fields
from vidclass.sweep.arm_stores import STORE, stores_of
from vidclass.sweep.load import corners, trial_config
from vidclass.sweep.spec import StudySpec

CHOICES: dict[str, list[object]] = {
    "short_side": [48, 64],
    "fps": [5.0, 10.0],
    "stride": [1, 2],
    "num_frames": [8, 16],
    "greyscale": [False, True],
    "masks": [[], [{"left": 0, "top": 0.9, "right": 0.3, "bottom": 1}]],
    "lighting": [None, "mean"],
    "format": ["raw", "jpeg"],
    "quality": [75, 90],
}
NEEDS = {"quality": {"data.store.format": "jpeg"}}
"""What must be fixed beside a field."""


@pytest.mark.parametrize("field", StoreOptions.model_fields)
def test_an_arm_may_fix_and_search_it(field: str) -> None:
    assert field in CHOICES, "give the new field two values here"
    name, choices = f"{STORE}{field}", CHOICES[field]
    assert name in arm_data_fields()
    fixed = NEEDS.get(field, {})
    spec = StudySpec.model_validate(
        {
            "study": "stores",
            "arms": [
                {"name": "one", "model": "average_fusion", "fixed": {**fixed, name: choices[1]}},
                {
                    "name": "two",
                    "model": "average_fusion",
                    "fixed": fixed,
                    "search": {name: choices},
                },
            ],
        }
    )
    configs = [trial_config(spec, arm, point) for arm in spec.arms for point in corners(arm)]
    seen = [StoreOptions.model_validate(config["data"]["store"]) for config in configs]
    wanted = [StoreOptions.model_validate({field: choice, **_plain(fixed)}) for choice in choices]
    assert seen == [wanted[1], *wanted]
    assert all(any(store == built for built in stores_of(spec)) for store in seen)


def _plain(fixed: dict[str, object]) -> dict[str, object]:
    return {name.removeprefix(STORE): value for name, value in fixed.items()}

"""What ``--smoke`` changes of a study: every stage in a minute or a few, with nothing to fetch.

Every arm gets the small configuration in which its model's contract is tested, without trained
weights; a study that has no videos of its own gets the control data set, stored in one way.
"""

from typing import Any

from vidclass.models import ModelOptions, model_entry
from vidclass.models.backbones import QUICK
from vidclass.sweep.arm_stores import STORE
from vidclass.sweep.spec import ArmSpec, StudySpec

__all__ = ["smoke_changes"]

SIDE = 32  # of the control data set's frames
PRETRAIN_EPOCHS = 2
BUDGET = {
    "data.preset": "smoke",
    "budget.trials": 2,
    "budget.epochs": 2,
    "finals.seeds": 1,
    "finals.rerun_top": 1,
    "finals.rerun_seeds": 1,
    "finals.time_seeds": 1,
}


def smoke_changes(spec: StudySpec, *, own_videos: bool) -> dict[str, Any]:
    """Return dotted path to value of all that ``--smoke`` changes.

    Args:
        spec: the study as its file has it.
        own_videos: whether it has videos: named in the file, or by ``--data``.
    """
    changes: dict[str, Any] = {}
    if not own_videos:
        window = spec.data.window.model_dump(mode="json")
        changes["data"] = {"source": "moving_shapes", "window": window}
    if spec.floors.backbone is not None:
        changes["floors"] = {key: QUICK[key] for key in ("backbone", "weights")}
    changes |= {**BUDGET, "data.input_size": min(SIDE, spec.data.input_size)}
    return {**changes, "arms": [_small(arm, own_videos) for arm in spec.arms]}


def _small(arm: ArmSpec, own_videos: bool) -> dict[str, Any]:
    """Return the arm with its model's quick options, fixed or as the only choice of a search.

    What it stores of videos of its own, such as masks, does not fit others.
    """
    quick = {
        key: value
        for key, value in model_entry(arm.model).quick_options.items()
        if key not in ModelOptions.model_fields  # the study gives those to all arms
    }
    content = arm.model_dump(mode="json")
    if content["fixed"].get("pretrain_epochs"):
        quick["pretrain_epochs"] = PRETRAIN_EPOCHS
    left_out = ("data.input_size",) if own_videos else ("data.input_size", STORE)
    content |= {
        part: {k: v for k, v in content[part].items() if not k.startswith(left_out)}
        for part in ("fixed", "search", "start")
    }
    searched = content["search"]
    return {
        **content,
        "fixed": {
            **content["fixed"],
            **{key: value for key, value in quick.items() if key not in searched},
        },
        "search": {key: [quick[key]] if key in quick else searched[key] for key in searched},
        "start": {key: quick.get(key, value) for key, value in content["start"].items()},
    }

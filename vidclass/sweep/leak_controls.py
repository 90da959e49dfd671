"""Leak controls of a study: which of those it asks for can be made with its champion."""

from vidclass.data.controls import LeakControl
from vidclass.models import model_entry
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State

__all__ = ["LEAK_CONTROL", "STANDING_CAMERA", "possible_controls"]

LEAK_CONTROL = "leak_control"
"""Kind of the trainings of the champion on what has no behaviour in it, or on other labels."""
STANDING_CAMERA = 0.5
"""Share of still pixels from which on a video has a background."""


def possible_controls(state: State, spec: StudySpec) -> list[LeakControl]:
    """Return the controls that are trained: all that are asked for before there is a champion.

    A model that takes features sees whole frames, and only a camera that stands has a background.
    """
    if state.champion is None:
        return list(spec.finals.leak_controls)
    arm = state.champion["arm"]
    entry = model_entry(spec.arm(arm).model)
    winner = next(winner for (name, _), winner in state.winners.items() if name == arm)
    options = entry.options.model_validate(state.trials[winner["trial"]].config["options"])
    impossible: set[LeakControl] = set()
    if state.data.get("static_share", 1.0) < STANDING_CAMERA:
        impossible = {"background"}
    if entry.input_of(options) == "features":
        impossible = {"background", "corner"}
    return [control for control in spec.finals.leak_controls if control not in impossible]

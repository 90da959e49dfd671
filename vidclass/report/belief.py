"""May you believe it? One light for each way in which a comparison can deceive."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from vidclass.data.leakage import check_leakage
from vidclass.data.readers import is_made
from vidclass.errors import UserErrors
from vidclass.report.collect import StudyTables
from vidclass.report.cost import arm_costs
from vidclass.report.data_lights import confounds_told, footage_told
from vidclass.report.intervals import Interval
from vidclass.report.leak_controls import ControlScore, champion_and_controls, overlaps
from vidclass.report.table import joined, plural, without_paths
from vidclass.sweep.arm_data import footage_lines

__all__ = ["EQUIVALENCE_MARGIN", "Light", "lights", "num_padded"]

EQUIVALENCE_MARGIN = 0.025
"""How far above chance the upper bound of what counts as chance may lie (measurement.md 9)."""
MOSTLY_COLLAPSED = 0.5

Colour = Literal["green", "amber", "red"]
WORDS: Mapping[Colour, tuple[str, str]] = {
    "green": ("●", "fine"),
    "amber": ("▲", "mind this"),
    "red": ("■", "problem"),
}


@dataclass(frozen=True)
class Light:
    """One question, its answer as a colour with a word and a sign, and the reason."""

    name: str
    colour: Colour
    reason: str
    anchor: str = ""

    @property
    def sign(self) -> str:
        """The sign that stands for the colour."""
        return WORDS[self.colour][0]

    @property
    def word(self) -> str:
        """The word that stands for the colour."""
        return WORDS[self.colour][1]


def lights(tables: StudyTables, metadata: Interval | None, chance: float) -> list[Light]:
    """Return the lights of a study whose data are ready.

    Args:
        tables: the study.
        metadata: score of the floor that sees no pixel; None before it ran.
        chance: score of a blind guess.
    """
    return [
        _disjoint(tables),
        _footage_disjoint(tables),
        _groups_known(tables),
        _confounds(tables),
        _metadata(metadata, chance),
        _exposure(tables),
        _quarantined(tables),
        _failures(tables),
        _equal_budget(tables),
        _padded(tables),
        _same_footage(tables),
        *([_controls(tables)] if tables.spec.finals.leak_controls else []),
        _whole(tables),
    ]


def _disjoint(tables: StudyTables) -> Light:
    name = "Groups disjoint"
    try:
        warnings = check_leakage(tables.splits, tables.manifest)
    except UserErrors as found:
        return Light(name, "red", f"{found.errors[0]}", "protocol")
    if warnings:
        return Light(name, "amber", "; ".join(warnings), "protocol")
    groups = plural(int(tables.state.data["num_groups"]), "group")
    folds = f" in any of {tables.num_folds} folds" if tables.num_folds > 1 else ""
    reason = f"none of {groups}, and no copy of a file, is in two splits{folds}"
    return Light(name, "green", reason, "protocol")


def _footage_disjoint(tables: StudyTables) -> Light:
    told = footage_told(tables.state.data, made=is_made(tables.spec.data.source))
    return Light("Footage disjoint", *told, "protocol")


def _confounds(tables: StudyTables) -> Light:
    anchor = "confounds" if tables.state.data.get("confounds") else "protocol"
    return Light("Confounds", *confounds_told(tables.state.data), anchor)


def _groups_known(tables: StudyTables) -> Light:
    if tables.state.data["groups_known"]:
        return Light("Groups known", "green", "the data set names its groups", "protocol")
    reason = "groups unknown: each file counts as its own group; cuts of one recording may leak"
    return Light("Groups known", "amber", reason, "protocol")


def _metadata(metadata: Interval | None, chance: float) -> Light:
    name = "File tells nothing"
    if metadata is None:
        return Light(name, "amber", "the metadata-only floor has not been scored yet", "floors")
    told = f"size, rate and length of the file alone score {100 * metadata.estimate:.1f} %"
    if metadata.low is None or metadata.high is None:
        reason = f"{told} (chance {100 * chance:.1f} %); no interval: {metadata.reason}"
        return Light(name, "amber", reason, "floors")
    told += f" (95 % {100 * metadata.low:.1f} to {100 * metadata.high:.1f}, chance"
    told += f" {100 * chance:.1f} %)"
    if metadata.low > chance:
        reason = f"{told}: the label can be read off the file without looking at a pixel"
        return Light(name, "red", reason, "floors")
    if metadata.high < chance + EQUIVALENCE_MARGIN:
        return Light(name, "green", f"{told}: equivalent to chance", "floors")
    reason = f"{told}: not above chance, and not shown to be equal to it"
    return Light(name, "amber", reason, "floors")


def _exposure(tables: StudyTables) -> Light:
    name = "Test exposure"
    exposure = tables.exposure
    if exposure is None or exposure.first_at is None:
        return Light(name, "green", "this test set has never been scored", "protocol")
    own = len(tables.state.finals)
    told = f"this test set was {exposure.told()}"
    if exposure.studies > 1:
        reason = f"{told}: choices made after an earlier look flatter the score"
        return Light(name, "amber", reason, "protocol")
    if exposure.scored > own:
        reason = f"{told}, {exposure.scored - own} of them before this ledger"
        return Light(name, "amber", reason, "protocol")
    reason = f"{told}: only the finals and controls of this study (also on fewer videos), once each"
    return Light(name, "green", reason, "protocol")


def _quarantined(tables: StudyTables) -> Light:
    name = "Quarantined videos"
    bad = int(tables.state.data["num_quarantined"])
    whole = len(tables.manifest)
    share = bad / max(whole, 1)
    limit = tables.spec.data.quarantine_limit
    told = f"{bad:,} of {plural(whole, 'video')} ({100 * share:.1f} %) could not be used"
    if not bad:
        return Light(name, "green", f"all {plural(whole, 'video')} could be read", "protocol")
    reasons = tables.manifest.loc[tables.manifest["status"] != "ok", "reason"].value_counts()
    told += f"; most often: {without_paths(str(reasons.index[0]))}" if len(reasons) else ""
    colour: Colour = "red" if share > limit else "amber"
    return Light(name, colour, f"{told}; limit {100 * limit:g} %", "protocol")


def _failures(tables: StudyTables) -> Light:
    name = "Failed and collapsed trials"
    costs = arm_costs(tables)
    told, expected, worst = [], [], 0.0
    for arm, row in costs.iterrows():
        by_design = _at_chance_by_design(tables, str(arm))
        if by_design and row["collapsed"]:
            expected.append(str(arm))
        kinds = ("diverged", "failed") if by_design else ("collapsed", "diverged", "failed")
        bad = [f"{int(row[kind])} {kind}" for kind in kinds if row[kind]]
        if bad:
            told.append(f"{arm} {joined(bad)} of {int(row['searched'])}")
            lost = sum(float(row[kind]) for kind in kinds)
            worst = max(worst, lost / max(float(row["searched"]), 1.0))
    reason = f"search trials: {'; '.join(told)}" if told else ""
    if expected:
        reason += "; " if reason else ""
        reason += f"{joined(expected)} collapsed as they must: one frame of this data tells nothing"
    if not told:
        reason = reason or "no search trial failed, diverged or collapsed"
        return Light(name, "green", reason, "trials")
    colour: Colour = "red" if worst > MOSTLY_COLLAPSED else "amber"
    return Light(name, colour, reason, "trials")


def _at_chance_by_design(tables: StudyTables, arm: str) -> bool:
    """Say whether an arm can't beat chance: the order of frames is all that made videos tell."""
    facts = tables.models.get(arm)
    return facts is not None and not facts.uses_order and is_made(tables.spec.data.source)


def _equal_budget(tables: StudyTables) -> Light:
    name = "Equal budget"
    searched = tables.trials[(tables.trials["kind"] == "search")]
    cells = pd.MultiIndex.from_product([tables.arms, range(tables.num_folds)])
    counts = searched.groupby(["arm", "fold"]).size().reindex(cells, fill_value=0)
    dimensions = ", ".join(f"{arm.name} {len(arm.search)}" for arm in tables.spec.arms)
    each = tables.spec.resolved.trials
    planned = set(searched.get("epochs_planned", pd.Series(dtype=int)))
    where = "an arm and fold" if tables.num_folds > 1 else "an arm"
    epochs = plural(tables.spec.budget.epochs, "epoch")
    told = f"{plural(each, 'trial')} of at most {epochs} {where}; searched dimensions: {dimensions}"
    if (counts == each).all() and len(planned) <= 1:
        return Light(name, "green", told, "trials")
    found = f"{int(counts.min())} to {int(counts.max())} trials {where}"
    if tables.partial and len(planned) <= 1:
        return Light(name, "amber", f"so far {found}; planned: {told}", "trials")
    return Light(name, "red", f"found {found}; planned: {told}", "trials")


def num_padded(tables: StudyTables) -> int:
    """Return how many usable videos are shorter than the window, so that frames are repeated."""
    if tables.spec.data.windows is not None:
        return 0  # a study whose clips are longer than its labelled windows is refused
    window, sampling = tables.spec.data.window, tables.spec.data.sampling
    usable = tables.manifest[tables.manifest["status"] == "ok"]
    last_s = window.span_s * (window.num_frames - 1) / window.num_frames
    wanted = np.rint(last_s * usable["fps"])
    if sampling.is_spread or sampling.kind == "dense":
        wanted = np.full(len(usable), (window.num_frames - 1) * sampling.stride)
    return int((wanted > usable["num_frames"] - 1).sum())


def _padded(tables: StudyTables) -> Light:
    padded = num_padded(tables)
    span = f"the window of {tables.spec.data.window.span_s:g} s"
    if not padded:
        told = f"every {tables.unit} is as long as {span}"
        return Light("Videos padded", "green", told, "protocol")
    usable = int((tables.manifest["status"] == "ok").sum())
    reason = f"{padded:,} of {plural(usable, 'video')} are shorter than {span}: "
    return Light("Videos padded", "amber", reason + "their last frame is repeated", "protocol")


def _same_footage(tables: StudyTables) -> Light:
    name = "Same footage"
    own = list(footage_lines(tables.spec))
    if not own:
        return Light(name, "green", "all arms look at the same windows and cuts", "protocol")
    reason = f"{'; '.join(own)}: a difference may be owed to that, not to the architecture"
    return Light(name, "amber", reason, "protocol")


def _controls(tables: StudyTables) -> Light:
    name = "Leak controls"
    asked = tables.spec.finals.leak_controls
    found = champion_and_controls(tables)
    if found is None or not found[1]:
        return Light(name, "amber", f"not scored yet: {joined(asked)}".replace("_", " "), "trials")
    champion, controls = found
    close = [control for control in controls if overlaps(control.interval, champion.interval)]
    told = ", ".join(_scored(score) for score in controls)
    reason = f"{told}; {_scored(champion)}"
    left = [each for each in asked if each not in {control.name for control in controls}]
    if left:
        reason += f"; not scored: {joined(left)}".replace("_", " ")
        if "background" in left and "static_share" in tables.state.data:
            reason += f" (still pixels {100 * tables.state.data['static_share']:.0f} %)"
    if close:
        names = joined([control.name.replace("_", " ") for control in close])
        verb = "come" if len(close) > 1 else "comes"
        reason += f": {names} {verb} close, so the score may not need the behaviour"
    return Light(name, "red" if close else "green", reason, "trials")


def _scored(score: ControlScore) -> str:
    interval, name = score.interval, score.name.replace("_", " ")
    told = f"{name} {100 * interval.estimate:.1f} %"
    if interval.low is None or interval.high is None:
        return f"{told} (no interval)"
    return f"{told} (95 % {100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _whole(tables: StudyTables) -> Light:
    name = "Study complete"
    if tables.unreadable:
        reason = f"{plural(len(tables.unreadable), 'prediction file')} missing in the folder"
        return Light(name, "amber", f"{reason}, first {tables.unreadable[0]}", "trials")
    if not tables.partial:
        return Light(name, "green", "all that was planned has been run", "trials")
    running = plural(len(tables.state.running), "trial")
    ended = tables.state.end_reason
    told = f"ended early: {ended}" if ended else f"not ended yet, {running} unfinished"
    return Light(name, "amber", f"partial study: {without_paths(told)}", "trials")

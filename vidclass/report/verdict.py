"""The verdict: one sentence that says no more than the study's own tests allow.

An arm wins when its declared, Holm-corrected differences to all other arms exclude 0 *and* its
difference to the best floor does; "no winner" is never wrong in itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vidclass.report.comparisons import ALPHA, Comparison, smallest_attainable_p

__all__ = ["Verdict", "VerdictContext", "verdict"]

MIN_REPEATED_SEARCHES = 3
"""From so many independent searches on a claim may be about architectures (measurement.md 4)."""


@dataclass(frozen=True)
class VerdictContext:
    """What the sentence has to be qualified with.

    Attributes:
        num_groups: test groups.
        num_trials: search trials an arm (and fold).
        num_folds: outer folds; 1 = one split.
        published: whether the folds are splits that were published with the data set.
        refit: whether what is scored was trained on validation too.
        groups_known: whether the data set named its groups.
        unit: the group in the plural, as in "animals".
        partial: whether the study has not ended.
        extended: whether it was extended after its test set had been scored.
    """

    num_groups: int
    num_trials: int
    num_folds: int = 1
    published: bool = False
    refit: bool = False
    groups_known: bool = True
    unit: str = "groups"
    partial: bool = False
    extended: bool = False


@dataclass(frozen=True)
class Verdict:
    """One sentence, the arm that won or None, and what the sentence rests on."""

    sentence: str
    winner: str | None
    reasons: tuple[str, ...]


def verdict(
    scores: Mapping[str, float],
    comparisons: Sequence[Comparison],
    gate: Sequence[Comparison],
    context: VerdictContext,
) -> Verdict:
    """Return the verdict of a study.

    Args:
        scores: score of every arm, floors left out.
        comparisons: the declared family (`compare_family`).
        gate: every arm minus the best floor (`compare_with_floor`); empty when no floor was scored.
        context: what qualifies it.
    """
    table = _both_ways(comparisons)
    floor_of = {each.arm_a: each for each in gate}
    ranked = sorted(scores, key=lambda arm: -scores[arm])
    winner, sentence = None, "No winner: no arm has been scored on test yet."
    if ranked:
        winner, sentence = _decide(ranked, table, floor_of, context)
    return Verdict(sentence, winner, tuple(_reasons([*comparisons, *gate], gate, context)))


def _both_ways(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], Comparison]:
    found = {(each.arm_a, each.arm_b): each for each in comparisons}
    return found | {(each.arm_b, each.arm_a): each.swapped() for each in comparisons}


def _is_above(comparison: Comparison | None) -> bool:
    return comparison is not None and comparison.excludes_zero and comparison.difference > 0


def _decide(
    ranked: list[str],
    table: Mapping[tuple[str, str], Comparison],
    floor_of: Mapping[str, Comparison],
    context: VerdictContext,
) -> tuple[str | None, str]:
    leader, others = ranked[0], ranked[1:]
    gate = floor_of.get(leader)
    rivals = [arm for arm in others if not _is_above(table.get((leader, arm)))]
    if rivals:
        return None, _no_winner(leader, others, rivals, table, floor_of)
    if gate is not None and not _is_above(gate):
        return None, _below_floor(leader, bool(others), gate)
    if gate is None and not others:
        return (
            None,
            f"No winner: {_named(leader)} is alone, and no floor was scored to compare with.",
        )
    nearest = table[(leader, others[0])] if others else gate
    assert nearest is not None
    sentence = f"{_capital(leader)} beats {_named(nearest.arm_b)} by {_told(nearest)}"
    if others and gate is not None:
        sentence += f", and the best floor, {_named(gate.arm_b)}, by {_told(gate)},"
    if len(others) > 1:
        sentence += " and all other arms by more than chance allows,"
    return leader, f"{sentence.rstrip(',')} {_scope(context)}."


def _no_winner(
    leader: str,
    others: list[str],
    rivals: list[str],
    table: Mapping[tuple[str, str], Comparison],
    floor_of: Mapping[str, Comparison],
) -> str:
    tied = [leader, *rivals]
    among = f" between {_joined(tied)}" if len(rivals) < len(others) or len(tied) == 2 else ""
    closest = table.get((leader, rivals[0]))
    if closest is None:
        why = "the declared comparisons do not set them against each other"
        among = f" between {_joined(tied)}"
    elif closest.resolvable is None:
        why = (
            f"{closest.num_groups} groups are too few for an interval, "
            f"observed {_points(abs(closest.difference))}"
        )
    else:
        why = (
            f"this test resolves {_points(closest.resolvable)}, "
            f"observed {_points(abs(closest.difference))}"
        )
    beaten = [
        arm for arm in others if all(_is_above(table.get((arm_tied, arm))) for arm_tied in tied)
    ]
    names = [_named(arm) for arm in beaten]
    gates = [floor_of[arm] for arm in tied if arm in floor_of]
    if gates and all(_is_above(each) for each in gates) and len(gates) == len(tied):
        names.append(f"the best floor ({_named(gates[0].arm_b)})")
    elif gates and not any(_is_above(each) for each in gates):
        told = "neither is" if len(tied) == 2 else "none is"
        return (
            f"No winner{among}: {why}; {told} told from the best floor ({_named(gates[0].arm_b)})."
        )
    word = "both" if len(tied) == 2 else "all of them"
    return f"No winner{among}: {why}" + (f"; {word} beat {_joined(names)}." if names else ".")


def _below_floor(leader: str, beats_arms: bool, gate: Comparison) -> str:
    leads = f"{_named(leader)} beats the other arms" if beats_arms else f"{_named(leader)} is alone"
    if gate.low is None:
        told = f"too few groups ({gate.num_groups}) tell it from"
    elif gate.difference < 0 and gate.excludes_zero:
        told = f"it lies {_points(-gate.difference)} below"
    else:
        told = f"it is not told from (difference {_told(gate)})"
    return f"No winner: {leads}, but {told} the best floor, {_named(gate.arm_b)}."


def _reasons(
    comparisons: Sequence[Comparison], gate: Sequence[Comparison], context: VerdictContext
) -> list[str]:
    found = []
    if not context.groups_known:
        found.append("groups unknown: cuts of one recording may leak")
    least = smallest_attainable_p(context.num_groups)
    if least >= ALPHA:
        found.append(
            f"{context.num_groups} {context.unit}: no p can fall below {least:.3g}, "
            "so that nothing can be significant"
        )
    if context.published:
        without = "refit on all of train" if context.refit else "which training does without"
        found.append(f"published lists, tuned on inner validation, {without}")
    elif context.num_folds > 1:
        found.append(f"{context.num_folds} outer folds: every video was tested once, out of fold")
    if context.num_folds == 1:
        found.append("one split: another split may rank the arms differently")
    if not gate:
        found.append("no floor was scored: an arm may have learned what needs no video")
    if any("not covered" in each.method for each in comparisons):
        found.append("one run an arm: another seed may rank the arms differently")
    if context.partial:
        found.append("the study has not ended: arms and seeds may be missing")
    if context.extended:
        found.append("the study was extended after its test set had been scored")
    return found


def _scope(context: VerdictContext) -> str:
    """Return what the claim is limited to."""
    searched = context.num_folds >= MIN_REPEATED_SEARCHES
    claim = f"search repeated in {context.num_folds} folds" if searched else "these configurations"
    trials = f"{context.num_trials} trial{'s' if context.num_trials != 1 else ''} an arm"
    trials += " and fold" if context.num_folds > 1 else ""
    scope = f"on these {context.num_groups:,} {context.unit} under {trials} ({claim})"
    return scope if context.groups_known else f"{scope}; groups unknown: cuts may leak"


def _told(comparison: Comparison) -> str:
    told = _points(comparison.difference)
    if comparison.low is None or comparison.high is None:
        return f"{told} (no interval)"
    bounds = f"95 % {100 * comparison.low:.1f} to {100 * comparison.high:.1f}"
    p = comparison.p if comparison.p_holm is None else comparison.p_holm
    return f"{told} ({bounds}, p Holm {'< 0.001' if p < 0.001 else f'{p:.2g}'})"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _named(arm: str) -> str:
    return arm.replace("_", " ")


def _capital(arm: str) -> str:
    return _named(arm)[:1].upper() + _named(arm)[1:]


def _joined(names: Sequence[str]) -> str:
    words = [_named(name) for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

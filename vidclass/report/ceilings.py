"""What the arms could reach on the control data set, whose answer is known."""

from vidclass.data.readers import is_made
from vidclass.data.synthetic import PRESETS
from vidclass.data.synthetic_oracle import oracle_ceiling
from vidclass.report.collect import StudyTables

__all__ = ["ceiling_rows"]


def ceiling_rows(tables: StudyTables) -> list[tuple[str, str]]:
    """Return the row of the protocol that tells each arm's oracle ceiling (measurement.md 9).

    The best accuracy that any classifier could reach from the frames that an arm sees. An arm above
    its ceiling sees what it should not. Empty for other videos, and where stored frames are not
    those of the files.
    """
    data = tables.spec.data
    rate = (data.store.fps, data.store.stride, data.store.num_frames)
    if not is_made(data.source) or any(rate):
        return []
    step = data.window.span_s / data.window.num_frames * PRESETS[data.preset].fps
    if not step.is_integer():
        return []
    told = []
    for arm, facts in tables.models.items():
        frames = [int(step) * frame for frame in facts.frames]
        share = oracle_ceiling(frames, uses_order=facts.uses_order)
        told.append(f"{arm} {100 * share:.1f} %")
    return [("Oracle ceilings", f"{', '.join(told)}; above it, something leaks")] if told else []

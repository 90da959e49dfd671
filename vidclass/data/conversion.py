"""One conversion from end to end: read, mend or refuse, write the table and the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from vidclass.data.annotations import Task
from vidclass.data.convert import frame_table, interval_table
from vidclass.data.decode import DecodeError, probe
from vidclass.data.interval_policy import Policy, refusals
from vidclass.data.label_sources import read_labels
from vidclass.errors import UserError, raise_collected
from vidclass.home import write_aside

__all__ = ["Conversion", "convert", "frames_and_rate"]

Target = Literal["frames", "timestamps"]


@dataclass(frozen=True)
class Conversion:
    """What to make of labels."""

    to: Target | None
    """None: the other one than the source has."""
    task: Task
    policy: Policy
    annotator: str | None = None
    subject: str | None = None

    @classmethod
    def of(
        cls,
        to: str | None,
        task: str,
        repair: Sequence[str],
        background: str | None,
        annotator: str | None,
        subject: str | None,
    ) -> "Conversion":
        """Return the conversion that a user's words ask for.

        Raises:
            UserError: when a word is unknown.
        """
        for value, known in ((to, get_args(Target)), (task, get_args(Task))):
            if value is not None and value not in known:
                raise UserError("this word is known", value, " or ".join(known))
        policy = Policy.of(repair, background)
        return cls(to, task, policy, annotator, subject)  # type: ignore[arg-type]


def convert(
    source: str,
    output: Path,
    wanted: Conversion,
    home: Path,
    fps: float | None,
    videos: Path | None,
    report_path: Path | None,
) -> str:
    """Convert ``source`` to ``output``; return what was done, in words.

    The report is written where a row was touched or refused; ``output`` only where none is refused.

    Raises:
        UserError: when output and source are one file, or something to convert with is missing.
        UserErrors: with all mistakes of the source, or all rows that the policy refuses.
    """
    if fps is not None and not fps > 0:
        raise UserError("a rate is above 0 frames a second", fps, "--fps 25")
    if output.exists() and Path(source).expanduser().resolve() == output.resolve():
        raise UserError("the output is another file than the source", output, "another name")
    labels = read_labels(source, home, videos=videos, fps=fps, probe=frames_and_rate)
    to = wanted.to or ("timestamps" if labels.of_frames else "frames")
    if to == "frames" or wanted.annotator or wanted.subject:
        labels = labels.chosen(wanted.annotator, wanted.subject)
    labels, report = labels.mended(wanted.policy, wanted.task)
    told = _write_report(report, report_path or output.with_suffix(".report.csv"))
    raise_collected(refusals(report))
    table = frame_table(labels, wanted.task) if to == "frames" else interval_table(labels)
    _write(table, output)
    num_videos = table["video"].nunique()
    return f"{output}: {len(table)} rows of {num_videos} videos{told}"


def frames_and_rate(path: str) -> tuple[int, float] | None:
    """Return the frames of a video and how many are shown a second; None when it won't open."""
    try:
        found = probe(path)
    except DecodeError:
        return None
    return found.num_frames, found.fps


def _write_report(report: pd.DataFrame, path: Path) -> str:
    if report.empty:
        path.unlink(missing_ok=True)  # of an earlier run: nothing is touched any more
        return "; no row had to be touched"
    _write(report, path)
    counts = report.groupby("problem", sort=False).size()
    return "; " + ", ".join(f"{n} {problem}" for problem, n in counts.items()) + f" (see {path})"


def _write(table: pd.DataFrame, path: Path) -> None:
    with write_aside(path) as aside:
        table.to_csv(aside, index=False)

"""``vidclass data confounds``: what else tells the label, without looking at a pixel."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vidclass.data.commands.scanned import (
    ANNOTATOR,
    GROUP_PATTERN,
    HOLD_OUT_BY,
    SOURCE,
    SUBJECT,
    rows_to_divide,
    scanned,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from vidclass.report.runs import ArmRuns

__all__ = ["EXAMPLE", "command"]

NUM_FOLDS = 5
EXAMPLE = "vidclass data confounds FOLDER --hold-out-by animal"


def command(
    source: str = SOURCE,
    group_pattern: str | None = GROUP_PATTERN,
    hold_out_by: str | None = HOLD_OUT_BY,
    seed: int = typer.Option(0, help="Seed of the folds of the metadata score."),
    annotator: str | None = ANNOTATOR,
    subject: str | None = SUBJECT,
    out: Path | None = typer.Option(None, help="Write the table as CSV."),
) -> None:
    """Tell how far each column of the data set, and the figures of the files, give the label away.

    Association is 0 to 1 with a 95 % interval over groups. "not identifiable" says that a column
    fixes the label: no split can tell the two apart. Files are decoded once, as by check.
    """
    from vidclass.data.confounds import confound_table
    from vidclass.errors import UserError
    from vidclass.home import write_aside

    seen = scanned(source, group_pattern, hold_out_by, annotator=annotator, subject=subject)
    videos = rows_to_divide(seen.manifest, seen.dataset)
    if videos.empty:
        raise UserError(
            "confounds are of labels: some of the videos that decode have one",
            f"{source}: none",
            "one subfolder a class, or a labels.csv (video,label)",
        )
    table = confound_table(videos)
    for line in _lines(table):
        typer.echo(line)
    typer.echo(_metadata_score(videos, seed))
    if out is not None:
        with write_aside(out) as aside:
            table.to_csv(aside, index=False)
        typer.echo(f"written: {out}")


def _lines(table: "pd.DataFrame") -> Iterator[str]:
    shown = table.fillna({"association": -1.0})
    yield f"{'column':<16}{'values':>7}  {'association':<26}verdict"
    for row in shown.to_dict("records"):
        told = ""
        if row["association"] >= 0:
            told = f"{row['association']:.2f}"
            estimable = row["low"] == row["low"]
            told += f" ({row['low']:.2f} to {row['high']:.2f})" if estimable else " (no interval)"
        fixed = f": {row['fixed']}" if row["fixed"] else ""
        yield f"{row['column']:<16}{row['values']:>7}  {told:<26}{row['verdict']}{fixed}"


def _metadata_score(videos: "pd.DataFrame", seed: int) -> str:
    """Return the line on what a model reaches that sees the files' figures only, out of fold."""
    from vidclass.data.splits import make_splits
    from vidclass.errors import UserErrors
    from vidclass.report.intervals import accuracy_interval

    once = videos.drop_duplicates("video_id").assign(split=None)
    try:
        splits = make_splits(once, valid_share=0.2, test_share=0.2, folds=NUM_FOLDS, seed=seed)
    except UserErrors as errors:
        return f"no metadata score: {errors.errors[0].rule}; {errors.errors[0].received}"
    tested = splits[splits["split"] == "test"].set_index("video_id")["fold"]
    runs = _out_of_fold(once, tested[once["video_id"]].to_numpy(), seed)
    found, chance = accuracy_interval(runs), 100 * once["label"].value_counts(normalize=True).max()
    told = f"metadata alone {100 * found.estimate:.1f} %"
    if found.low is not None and found.high is not None:
        told += f" (95 % {100 * found.low:.1f} to {100 * found.high:.1f})"
    return f"{told} of {found.num_samples} videos in grouped folds; majority class {chance:.1f} %"


def _out_of_fold(videos: "pd.DataFrame", fold_N: "npt.NDArray[np.int64]", seed: int) -> "ArmRuns":
    """Return the answers of the metadata floor, each video by a model that did not see its group.

    Legend: N videos, D features of frames, of which there are none here.
    """
    import numpy as np
    import pandas as pd

    from vidclass.report.runs import ArmRuns
    from vidclass.training.floor_features import METADATA_COLUMNS, FloorFeatures
    from vidclass.training.floors import run_floor

    ids, label_N = videos["video_id"].tolist(), pd.factorize(videos["label"], sort=True)[0]
    figures_NM = videos[list(METADATA_COLUMNS)].to_numpy(np.float64)
    none_ND = np.zeros((len(videos), 0), np.float32)
    features = FloorFeatures(ids, figures_NM, none_ND, none_ND, none_ND, none_ND)
    pred_N = np.zeros_like(label_N)
    for fold in range(NUM_FOLDS):
        learned, scored = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        num_classes = int(label_N.max()) + 1
        prob_NK = run_floor("metadata", features, learned, scored, label_N, num_classes, seed)
        pred_N[scored] = prob_NK.argmax(axis=1)
    return ArmRuns(
        arm="metadata",
        sample_id_N=videos["video_id"].to_numpy(dtype=object),
        labels=label_N,
        said=pred_N[None],
        group_N=pd.factorize(videos["group"])[0],
        fold_N=fold_N,
        deterministic=True,
    )

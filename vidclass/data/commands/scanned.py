"""What the verbs that look at every video begin with: read, hash, decode, find copies."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from vidclass.data.commands.progress import tell_progress
from vidclass.home import home

if TYPE_CHECKING:
    import pandas as pd

    from vidclass.data.manifest import Dataset
    from vidclass.data.scan import Scans

__all__ = [
    "ANNOTATOR",
    "GROUP_PATTERN",
    "HOLD_OUT_BY",
    "SOURCE",
    "SUBJECT",
    "Scanned",
    "labels_by",
    "rows_to_divide",
    "scanned",
    "tell_files",
    "together",
]

SOURCE = typer.Argument(..., help="A folder, a table, or FORMAT:PATH where the format isn't plain.")
GROUP_PATTERN = typer.Option(
    None, help="Regular expression; its first bracket, found in a file's name, is the group."
)
HOLD_OUT_BY = typer.Option(
    None, help="Column that is never divided (animal) in place of group; several joined by +."
)
ANNOTATOR = typer.Option(None, help="Whose labels of parts are taken; else all are put together.")
SUBJECT = typer.Option(None, help="Of which subject labels of parts are taken; else of all.")


@dataclass(frozen=True)
class Scanned:
    """A data set of which every file was decoded.

    Attributes:
        dataset: as its reader found it.
        manifest: probed and hashed; ``group`` is what is held out by.
        scans: what else was seen.
    """

    dataset: "Dataset"
    manifest: "pd.DataFrame"
    scans: "Scans"

    @property
    def copies(self) -> "pd.DataFrame":
        """Pairs of videos that show the same footage."""
        from vidclass.data.near_duplicates import near_duplicates

        return near_duplicates(self.scans.signatures(self.manifest))


def tell_files(stage: str, done: int, total: int) -> None:
    """Tell how far a stage of reading files is."""
    tell_progress(done, total, stage, "files")


def scanned(
    source: str,
    group_pattern: str | None,
    by: str | None,
    *,
    annotator: str | None = None,
    subject: str | None = None,
) -> Scanned:
    """Read the data set and decode each of its files that was not decoded yet."""
    from vidclass.data.groups import hold_out_by
    from vidclass.data.readers import read_dataset
    from vidclass.data.scan import scan_dataset

    dataset = read_dataset(source, home=home(), group_pattern=group_pattern, labels_needed=False)
    dataset = labels_by(dataset, annotator, subject)
    manifest, scans = scan_dataset(dataset, home(), tell_files)
    return Scanned(dataset, hold_out_by(manifest, by), scans)


def labels_by(dataset: "Dataset", annotator: str | None, subject: str | None) -> "Dataset":
    """Return the data set with the labels of one annotator and subject; None takes those of all.

    Raises:
        UserError: when nobody is called so, or the labels are of whole videos.
    """
    from vidclass.data.annotations import annotations_by
    from vidclass.errors import UserError

    if annotator is None and subject is None:
        return dataset
    if dataset.annotations is None:
        raise UserError(
            "annotators and subjects are chosen among labels of parts",
            f"{dataset.root} labels whole videos",
            "leave --annotator and --subject out",
        )
    rows = annotations_by(dataset.annotations, annotator=annotator, subject=subject)
    return replace(dataset, annotations=rows)


def together(dataset: "Dataset") -> "Dataset":
    """Return the data set with the labels of parts of all annotators as those of one."""
    if dataset.annotations is None:
        return dataset
    return replace(dataset, annotations=dataset.annotations.assign(annotator=None))


def rows_to_divide(manifest: "pd.DataFrame", dataset: "Dataset") -> "pd.DataFrame":
    """Return the usable videos by their labels; one with several labels has a row for each.

    A video is divided by what any annotator saw in it.
    """
    from vidclass.data.manifest import usable
    from vidclass.data.sample_table import Labelling, labelled

    if dataset.annotations is None:
        return usable(manifest)
    return labelled(manifest, together(dataset), Labelling("multilabel")).rows_to_divide()

"""A data set as a file: its manifest as CSV or Parquet, and beside it what does not fit in there.

``NAME.csv`` has a row a video. ``NAME.annotations.csv`` has interval labels, ``NAME.frames.csv``
the frames that label files name, ``NAME.classes.csv`` the classes in their own order; each only
where the data set has it. Paths below the file's folder are relative to it, so that both can be
moved together.
"""

from pathlib import Path

import pandas as pd

from vidclass.data.manifest import MANIFEST_COLUMNS, STATUS_OK, Dataset
from vidclass.errors import UserError
from vidclass.home import write_aside

__all__ = ["SIDECARS", "SUFFIXES", "check_target", "sidecar", "write_dataset"]

SUFFIXES = (".csv", ".parquet")
SIDECARS = ("annotations", "frames", "classes")
_ALWAYS = ("video_id", "path", "label", "group", "split")


def sidecar(path: Path, name: str) -> Path:
    """Return where the part ``name`` of the data set in ``path`` lies."""
    return path.with_name(f"{path.stem}.{name}{path.suffix.lower()}")


def check_target(path: Path) -> None:
    """Check that a data set can be written to ``path``, before the work for it begins.

    Raises:
        UserError: for another suffix than those of ``SUFFIXES``.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            "a data set's file is .csv or .parquet", path, f"--out {path.stem or 'manifest'}.csv"
        )


def write_dataset(dataset: Dataset, path: Path) -> None:
    """Write ``dataset`` so that the path of the file is a source like any other.

    Args:
        dataset: as a reader found it; what probing found is kept too.
        path: ends in ``.csv`` or ``.parquet``.

    Raises:
        UserError: for another suffix, or a folder that can't be written to.
    """
    check_target(path)
    classes = dataset.class_names
    parts = {
        "annotations": dataset.annotations,
        "frames": dataset.frame_rows,
        "classes": None if classes is None else pd.DataFrame({"label": list(classes)}),
    }
    try:
        for name, table in parts.items():
            beside = sidecar(path, name)
            if table is None:
                beside.unlink(missing_ok=True)  # of another data set that was written here before
            else:
                _write(table, beside)
        _write(_written(dataset, path.parent), path)
    except OSError as error:
        raise UserError(
            "the data set's file can be written", f"{path}: {error.strerror}", "another --out"
        ) from error


def _written(dataset: Dataset, folder: Path) -> pd.DataFrame:
    """Return the manifest without columns that say nothing."""
    table = dataset.manifest.copy()
    below = f"{folder.resolve().as_posix()}/"
    table["path"] = [str(path).removeprefix(below) for path in table["path"]]
    if not dataset.groups_known:
        table["group"] = None
    empty = [
        name
        for name in MANIFEST_COLUMNS
        if name not in _ALWAYS and not (table[name].notna() & (table[name] != STATUS_OK)).any()
    ]
    return table.drop(columns=empty)


def _write(table: pd.DataFrame, path: Path) -> None:
    with write_aside(path) as aside:
        if path.suffix.lower() == ".parquet":
            table.to_parquet(aside, index=False)
        else:
            table.to_csv(aside, index=False)

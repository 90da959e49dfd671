"""Splits as a file: published with a paper, read by a study, or written by hand as lists of names.

A split file is CSV or Parquet with a row a video and fold: ``video_id``, ``split`` and perhaps
``fold``; further columns are for people, but a ``content_hash`` is held against the data set's.
What vidclass writes has all of ``SPLIT_FILE_COLUMNS``, so that a reader needs no other file to see
which groups and classes are where, and to know that it has the same videos.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from vidclass.data.manifest import usable
from vidclass.data.published_splits import published_folds
from vidclass.data.readers.columns import Columns, read_columns, read_lines
from vidclass.data.splits import DEPLOY_FOLD, SPLITS, check_classes, valid_from_train
from vidclass.errors import UserError, UserErrors, raise_collected
from vidclass.home import write_aside

__all__ = [
    "SPLIT_FILE_COLUMNS",
    "completed",
    "match_names",
    "read_split_file",
    "split_by_lists",
    "write_split_file",
]

SPLIT_FILE_COLUMNS = ("video_id", "content_hash", "group", "label", "fold", "split")
_VIDEO_NAMES = ("video_id", "video")
_COLUMNS = Columns(("split",), (*_VIDEO_NAMES, "fold", "content_hash"), further=True)
_NUMBERED = re.compile(r"(?P<name>.*?)[\s;,]+\d+")
_MOST_FOLDS = 2**31


def write_split_file(path: Path, splits: pd.DataFrame, manifest: pd.DataFrame) -> None:
    """Write ``splits`` with what tells the videos apart, as CSV, or Parquet by the suffix.

    Raises:
        UserError: for another suffix.
    """
    table = splits.merge(manifest, on="video_id", how="left", suffixes=("", "_given"))
    table = table[list(SPLIT_FILE_COLUMNS)].sort_values(["fold", "video_id"], ignore_index=True)
    _check_suffix(path)
    with write_aside(path) as aside:
        if path.suffix == ".parquet":
            table.to_parquet(aside, index=False)
        else:
            table.to_csv(aside, index=False)


def read_split_file(path: Path, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a split file: ``video_id``, ``fold``, ``split``.

    Text is read as every table that people wrote is: :func:`vidclass.data.tables.read_rows`. A
    video may be named by its id, without its suffix, or by its file name where that is plain.
    Videos of the data set that the file leaves out are in no split.

    Args:
        path: the file.
        manifest: all videos of the data set, also those that will not be used.

    Raises:
        UserError: when there is no such file, or it is no table.
        UserErrors: with every mistake, each with its line.
    """
    table = _table(path)
    video = next((name for name in _VIDEO_NAMES if name in table.columns), None)
    if video is None or "split" not in table.columns:
        raise UserError(
            "a split file has the columns video_id and split, and perhaps fold",
            f"{path} line 1: {', '.join(map(str, table.columns))}",
            "vidclass data split FOLDER --out splits.csv writes one",
        )
    fold = table["fold"] if "fold" in table.columns else pd.Series("0", index=table.index)
    number = pd.to_numeric(fold, errors="coerce").astype("float64")
    ids = match_names(table[video].fillna("").astype(str).tolist(), manifest["video_id"])
    rows = pd.DataFrame({"video_id": ids, "fold": number, "split": table["split"]})
    errors = list(_row_errors(rows, table[video], fold, path))
    if "content_hash" in table.columns:
        errors += _content_errors(rows, table["content_hash"], manifest, path)
    raise_collected(errors)
    return rows.astype({"fold": "int64"}).sort_values(["fold", "video_id"], ignore_index=True)


def completed(
    given: pd.DataFrame,
    manifest: pd.DataFrame,
    *,
    valid_share: float,
    seed: int,
    balance: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the given splits of the usable videos, with validation where a fold has none.

    Args:
        given: what `read_split_file` returned.
        manifest: videos to use; those that ``given`` leaves out are in no split.
        valid_share: share of a fold's training videos that is taken where it names no ``valid``.
        seed: of that division.
        balance: further columns that it balances.

    Raises:
        UserErrors: when a fold lacks train or test, a class is missing, or a video is test in two
            folds that are not the publishers'.
    """
    videos = usable(manifest)
    kept = given[given["video_id"].isin(videos["video_id"])]
    errors = list(_fold_errors(kept, published_folds(kept, videos)))
    raise_collected(errors)
    parts = []
    for fold, rows in kept.groupby("fold", sort=True):
        split = rows.set_index("video_id")["split"]
        if "valid" not in set(split):
            of_train = videos[videos["video_id"].isin(split.index[split == "train"])]
            names = valid_from_train(of_train, valid_share, seed, int(str(fold)), balance)
            split = split.copy()
            split[of_train["video_id"].to_numpy()] = names
        parts.append(split.sort_index().reset_index().assign(fold=fold))
    result = pd.concat(parts, ignore_index=True)[["video_id", "fold", "split"]]
    check_classes(result, videos)
    return result


def split_by_lists(manifest: pd.DataFrame, lists: Mapping[str, Path]) -> pd.DataFrame:
    """Return ``manifest`` with the column ``split`` as lists of names say.

    A list is a text with a video a line, in any usual encoding; a number after the name, as UCF101
    writes its classes, is left out. Where train has a list, videos in no list are in no split; else
    they are train.

    Args:
        manifest: one row a video.
        lists: from ``train``, ``valid``, ``test`` to a file.

    Raises:
        UserErrors: for names that are no video, or that are in two lists, each with its line.
    """
    split: dict[str, str] = {}
    errors: list[UserError] = []
    for name, path in lists.items():
        lines = read_lines(path, errors)
        for (number, line), video_id in zip(
            lines, match_names([line for _, line in lines], manifest["video_id"]), strict=True
        ):
            where = f"{line} ({path} line {number})"
            if video_id is None:
                rule = "every name in a list is a video of the data set"
                errors.append(UserError(rule, where, "a path relative to the folder, one a line"))
            elif split.setdefault(video_id, name) != name:
                rule = "a video is in one list"
                told = f"{where}, also in {split[video_id]}"
                errors.append(UserError(rule, told, "take it out of one"))
    raise_collected(errors)
    rest = None if "train" in lists else "train"
    column = [split.get(video_id, rest) for video_id in manifest["video_id"]]
    result = manifest.assign(split=pd.Series(column, index=manifest.index, dtype=object))
    return result[result["split"].notna()].reset_index(drop=True)


def match_names(names: Sequence[str], video_ids: Collection[str]) -> list[str | None]:
    """Return the video id that each name means; None where it means none, or several.

    A name is a video id, one without its suffix, or a file name with or without suffix; a number
    after a blank, a comma or a semicolon may follow.
    """
    meant: dict[str, set[str]] = {}
    for video_id in video_ids:
        bare = video_id.rsplit(".", 1)[0]
        for form in (bare, video_id.rsplit("/", 1)[-1], bare.rsplit("/", 1)[-1]):
            meant.setdefault(form, set()).add(video_id)
    exact = set(video_ids)

    def one(name: str) -> str | None:
        if name in exact:
            return name
        found = meant.get(name, set())
        return next(iter(found)) if len(found) == 1 else None

    result = []
    for name in names:
        plain = name.strip().replace("\\", "/").removeprefix("./")
        numbered = _NUMBERED.fullmatch(plain)
        result.append(one(plain) or (one(numbered["name"]) if numbered else None))
    return result


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise UserError("a split file is .csv or .parquet", path, f"{path.stem}.csv")


def _table(path: Path) -> pd.DataFrame:
    """Return the rows of a split file; the index is their line, or their number from 1."""
    _check_suffix(path)
    if not path.exists():
        remedy = "its path from the data set's folder or from here; vidclass data split writes one"
        raise UserError("a split file exists", path, remedy)
    if path.suffix == ".csv":
        errors: list[UserError] = []
        table = read_columns(path, _COLUMNS, errors)
        if table is None:
            raise UserErrors(errors)
        return table
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError("a split file is a table", f"{path}: {error}", "Parquet, or .csv") from None
    return table.set_index(pd.RangeIndex(1, len(table) + 1))


def _place(path: Path, row: object) -> str:
    return f"{path} {'line' if path.suffix == '.csv' else 'row'} {row}"


def _row_errors(
    rows: pd.DataFrame, names: pd.Series, folds: pd.Series, path: Path
) -> Iterator[UserError]:
    """Yield the mistakes of single rows, the first line of each kind named."""

    def first(wrong: pd.Series, value: pd.Series) -> str:
        place = int(np.flatnonzero(wrong.to_numpy())[0])
        more = f", and {int(wrong.sum()) - 1} more" if wrong.sum() > 1 else ""
        given = value.iloc[place]
        told = "nothing" if given is None or given != given else given
        return f"{told} ({_place(path, value.index[place])}{more})"

    checks = (
        (
            rows["video_id"].isna(),
            names,
            "every video of a split file is in the data set",
            "the split file of this data set, or take these rows out",
        ),
        (
            ~rows["split"].isin(SPLITS),
            rows["split"],
            "a split is train, valid or test",
            "one of these words",
        ),
        (
            (rows["fold"] % 1 != 0) | ~rows["fold"].between(DEPLOY_FOLD, _MOST_FOLDS),
            folds,
            f"a fold is a whole number from 0 ({DEPLOY_FOLD}: all data, for deployment)",
            "fold: 0, 1, ...",
        ),
        (
            rows["video_id"].notna() & rows.duplicated(["video_id", "fold"]),
            names,
            "a split file names a video once in a fold",
            "take one of the rows out",
        ),
    )
    for wrong, value, rule, remedy in checks:
        if wrong.any():
            yield UserError(rule, first(wrong, value), remedy)


def _content_errors(
    rows: pd.DataFrame, written: pd.Series, manifest: pd.DataFrame, path: Path
) -> list[UserError]:
    now = rows["video_id"].map(manifest.set_index("video_id")["content_hash"])
    differs = written.notna() & now.notna() & (written.astype(str) != now.astype(str))
    if not differs.any():
        return []
    place = int(np.flatnonzero(differs.to_numpy())[0])
    return [
        UserError(
            "a split file was made of the files that are divided by it",
            f"{int(differs.sum())} files have another content now, first "
            f"{rows['video_id'].iloc[place]} ({_place(path, rows.index[place])})",
            "bring those files back, or divide anew: vidclass data split",
        )
    ]


def _fold_errors(kept: pd.DataFrame, published: set[int]) -> Iterator[UserError]:
    """Yield what makes folds unusable; those of ``published`` may test a video that another does.

    HMDB51's test lists overlap, and its figures in the literature are means over them.
    """
    if not len(kept):
        yield UserError("a split file names usable videos", "none", "check labels and folder")
    for fold, rows in kept.groupby("fold", sort=True):
        needed = {"train"} if fold == DEPLOY_FOLD else {"train", "test"}
        lacking = sorted(needed - set(rows["split"]))
        if lacking:
            yield UserError(
                "each fold has train and test", f"fold {fold}: no {lacking[0]}", "add these rows"
            )
    tested = kept[kept["split"] == "test"]
    own = tested.loc[~tested["fold"].isin(published), "video_id"]
    again = tested.loc[tested["video_id"].duplicated() & tested["video_id"].isin(own), "video_id"]
    if len(again):
        yield UserError(
            "a video is test in one fold only, so that each counts once in the score",
            f"{again.nunique()} are test in several, first {again.iloc[0]}",
            "one study a fold, or folds whose test videos differ",
        )

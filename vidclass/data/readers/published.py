"""What readers of published data sets tell: what their lists name and a folder lacks."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import pandas as pd

from vidclass.data.readers.registry import ReadRequest
from vidclass.errors import UserError

__all__ = ["absent_from_folder", "first_of_each", "named_twice", "scored_lists", "unused_pattern"]

_Key = TypeVar("_Key", bound=Hashable)


def absent_from_folder(absent: Iterable[tuple[str, str]], classes: set[str]) -> list[str]:
    """Return warnings on videos that lists name and the folder lacks.

    Classes of which the folder has nothing are told apart: whoever keeps 4 classes of 51 misses
    no video.

    Args:
        absent: class and name of each.
        classes: that the folder has; upper and lower case are the same.
    """
    classes = {label.casefold() for label in classes}
    names = sorted({(label, name) for label, name in absent})
    left_out = sorted({label for label, _ in names if label.casefold() not in classes})
    lost = [name for label, name in names if label.casefold() in classes]
    warnings = []
    if left_out:
        shown = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
        warnings.append(f"{len(left_out)} classes of the lists are not in the folder: {shown}")
    if lost:
        warnings.append(
            f"{len(lost)} videos of the lists are not in the folder, first {lost[0]}: figures "
            "are not those of the whole published split"
        )
    return warnings


def first_of_each(
    names: Sequence[str], key: Callable[[str], _Key]
) -> tuple[dict[_Key, str], list[str]]:
    """Return the first file of each key that lists name files by, and a warning on the others."""
    first: dict[_Key, str] = {}
    others = []
    for name in names:
        taken = first.setdefault(key(name), name)
        if taken != name:
            others.append((taken, name))
    if not others:
        return first, []
    taken, other = others[0]
    more = f" ({len(others)} such)" if len(others) > 1 else ""
    told = f"the lists can't tell {other} from {taken}: they mean the latter{more}"
    return first, [told]


def named_twice(rule: str, rows: pd.DataFrame, key: str, differ: Sequence[str]) -> list[UserError]:
    """Return one error where lists name a video again and say something else of it.

    Args:
        rule: that is broken.
        rows: what the lists say; ``where`` is the name with its file and line.
        key: the column that tells videos apart.
        differ: columns of which a value has to differ for a mistake; absent ones say nothing.
    """
    wrong: dict[str, str] = {}
    for column in differ:
        said = rows[rows[column].notna()]
        first = said.groupby(key).transform("first")
        others = said[column].to_numpy() != first[column].to_numpy()
        pairs = zip(said.loc[others, "where"], first.loc[others, "where"], strict=True)
        wrong |= {where: f"{where}, also {earlier}" for where, earlier in pairs}
    if not wrong:
        return []
    more = f" ({len(wrong)} such)" if len(wrong) > 1 else ""
    return [UserError(rule, f"{next(iter(wrong.values()))}{more}", "take it out of one list")]


def unused_pattern(request: ReadRequest) -> list[str]:
    """Return a warning where ``group_pattern`` is given for a data set that knows its groups."""
    if request.group_pattern is None:
        return []
    return ["group_pattern is not used: the format says itself what belongs together"]


def scored_lists(table: pd.DataFrame) -> list[str]:
    """Make ``split`` of ``table`` one that can be scored; return warnings.

    ``split_1`` says that it is the publishers', whose lists nobody mends.

    Labels of test lists are kept back by several publishers, and the literature then scores the
    validation list: it becomes ``test``, and validation is taken from train. Where only one list
    is there, nothing is fixed.
    """
    labelled = table["label"].notna()
    given = set(table.loc[labelled, "split"].dropna())
    if given == {"train", "valid"}:
        table.loc[table["split"] == "test", "split"] = None
        table.loc[table["split"] == "valid", "split"] = "test"
        table["split_1"] = table["split"]
        return [
            "no labels of the test list: the validation list is scored as test, as in the "
            "literature, and validation is taken from train"
        ]
    if "train" not in given or "test" not in given:
        table["split"] = None
        lists = " and ".join(sorted(given)) or "no"
        return [f"only videos of the {lists} list have labels: the published split is not kept"]
    table["split_1"] = table["split"]
    return []

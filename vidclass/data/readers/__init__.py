"""From a source's name to a data set: a registry of readers, one file a format.

A source is the name of a data set that vidclass makes itself (``moving_shapes``), the path of a
folder or file, whose format is then recognised, or ``FORMAT:PATH``. A further format registers a
reader with :func:`register_reader`; nothing else has to know of it.
"""

from collections.abc import Callable
from pathlib import Path

from vidclass.data.manifest import Dataset
from vidclass.data.readers import (  # noqa: F401 - each registers itself
    boris,
    deepethogram,
    folder,
    frame_labels,
    hmdb51,
    kinetics,
    made,
    manifest_file,
    something,
    timestamps,
    ucf101,
)
from vidclass.data.readers.registry import (
    ReadRequest,
    absolute_source,
    find_reader,
    is_made,
    list_readers,
    register_reader,
)
from vidclass.data.readers.walk import VIDEO_SUFFIXES
from vidclass.data.tables import seen_from
from vidclass.errors import UserError, raise_collected

__all__ = [
    "VIDEO_SUFFIXES",
    "ReadRequest",
    "absolute_source",
    "is_made",
    "list_readers",
    "read_dataset",
    "register_reader",
]


def read_dataset(
    source: str,
    *,
    preset: str = "default",
    seed: int = 0,
    home: Path,
    group_pattern: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    labels_needed: bool = True,
) -> Dataset:
    """Return the data set of a registered name, of a path, or of ``FORMAT:PATH``.

    Args:
        source: as the user wrote it.
        preset: difficulty of a data set that vidclass makes.
        seed: seed of a data set that vidclass makes.
        home: the home folder.
        group_pattern: see :class:`ReadRequest`.
        progress: called with (stage, done, total) by a reader that makes its data set.
        labels_needed: refuse a data set with fewer than two classes, as a study does.

    Raises:
        UserError: when there is no such source.
        UserErrors: with all mistakes of the folder and its tables.
    """
    read, path = find_reader(str(source))
    request = ReadRequest(str(source), path or home, preset, seed, home, group_pattern, progress)
    with seen_from(request.path):
        dataset = read(request)
    if labels_needed:
        _check_classes(dataset)
    return dataset


def _check_classes(dataset: Dataset) -> None:
    labels = set(dataset.manifest["label"].dropna())
    if dataset.annotations is not None:
        labels |= set(dataset.annotations["label"].dropna())
    if len(labels) < 2:
        error = UserError(
            "a data set has at least two classes",
            f"{dataset.root}: {min(labels) if labels else 'none'}",
            "one subfolder a class, or a labels.csv (video,label)",
        )
        raise_collected([error])

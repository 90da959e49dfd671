"""The files below a folder, and which of them a name in a table means."""

import difflib
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from vidclass.data.image_folders import IMAGE_SUFFIXES
from vidclass.errors import UserError

__all__ = [
    "VIDEO_SUFFIXES",
    "VideoNames",
    "case_clashes",
    "find_videos",
    "groups_by_name",
    "segment_id",
    "stem_of",
    "walk",
]

VIDEO_SUFFIXES = frozenset(
    ".3g2 .3gp .asf .avi .f4v .flv .h264 .h265 .hevc .m2ts .m2v .m4v .mkv .mov .mp4 .mpeg .mpg "
    ".mts .mxf .ogv .qt .rm .rmvb .ts .vob .webm .wmv .y4m".split()
)
"""What counts as a video by its name; whether it decodes is found out by decoding it."""


def walk(root: Path, errors: list[UserError]) -> list[str]:
    """Return all files below ``root`` but hidden ones, as sorted relative paths with slashes.

    Links are followed, also out of the folder; a link back to a folder above itself is not.
    """
    found: list[str] = []

    def closed(error: OSError) -> None:
        errors.append(
            UserError(
                "every folder below the data folder can be listed",
                f"{error.filename}: {error.strerror}",
                "give yourself the right to read it, or move it out of the data folder",
            )
        )

    above: dict[str, set[tuple[int, int]]] = {str(root): {_identity(str(root))}}
    for folder, folders, names in os.walk(root, followlinks=True, onerror=closed):
        parents = above.pop(folder)
        kept = []
        for name in folders:
            below = os.path.join(folder, name)
            identity = _identity(below)
            if not name.startswith(".") and identity not in parents:
                kept.append(name)
                above[below] = parents | {identity}
        folders[:] = kept
        relative = os.path.relpath(folder, root)
        prefix = "" if relative == "." else relative.replace(os.sep, "/") + "/"
        found += [prefix + name for name in names if not name.startswith(".")]
    return sorted(found)


def _identity(folder: str) -> tuple[int, int]:
    try:
        found = os.stat(folder)
    except OSError:  # vanished meanwhile, or closed: os.walk tells of it
        return (0, 0)
    return (found.st_dev, found.st_ino)


def find_videos(root: Path, errors: list[UserError]) -> list[str]:
    """Return the videos below ``root`` as :func:`walk` names them.

    A folder of images is a video too, where no video file lies in or below it.

    Raises:
        UserError: when there are none.
    """
    present = walk(root, errors)
    files = [name for name in present if _suffix(name) in VIDEO_SUFFIXES]
    images = {posixpath.dirname(name) for name in present if _suffix(name) in IMAGE_SUFFIXES}
    with_videos = {above for name in files for above in _folders_above(name)}
    videos = sorted([*files, *(images - with_videos - {""})])
    strange = [name for name in videos if not name.isascii() and _is_surrogate(name)]
    if strange:
        errors.append(_no_text(root, strange))
        videos = sorted(set(videos) - set(strange))
    if not videos and not errors:
        kinds = sorted({posixpath.splitext(name)[1] or name for name in present})
        raise UserError(
            "a data folder holds videos",
            f"{root}: " + (f"only {', '.join(kinds[:8])}" if kinds else "it is empty"),
            "one subfolder a class with videos in it (" + ", ".join(sorted(VIDEO_SUFFIXES)) + ")",
        )
    return videos


def _no_text(root: Path, names: list[str]) -> UserError:
    """Return the error that names are bytes of an older encoding, which no table can hold."""
    first = names[0].encode("utf-8", "backslashreplace").decode()
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    rule = "videos and their folders have names that are text in UTF-8"
    return UserError(rule, f"{root}: {first}{more}", "rename them, for example with convmv")


def _is_surrogate(name: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in name)


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def _folders_above(name: str) -> Iterable[str]:
    while name:
        name = posixpath.dirname(name)
        yield name


def groups_by_name(
    names: list[str], pattern: str | None, errors: list[UserError]
) -> list[str | None]:
    """Return what the first bracket of ``pattern`` holds in each file name; None without one."""
    if pattern is None:
        return [None] * len(names)
    example = "for example group_pattern: '(seq\\d+)'"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        errors.append(
            UserError(f"group_pattern is a regular expression ({error})", pattern, example)
        )
        return [None] * len(names)
    if compiled.groups < 1:
        errors.append(UserError("group_pattern has a part in parentheses", pattern, example))
        return [None] * len(names)
    groups: list[str | None] = []
    for name in names:
        match = compiled.search(name.rsplit("/", 1)[-1])
        groups.append(match.group(1) if match else None)
    unmatched = [name for name, group in zip(names, groups, strict=True) if group is None]
    if unmatched:
        errors.append(
            UserError(
                f"group_pattern {pattern} is found in every file name",
                f"not in {len(unmatched)} of {len(names)}, first {unmatched[0]}",
                "a pattern that fits all names, or a groups.csv",
            )
        )
    return groups


def stem_of(name: str) -> str:
    """Return the file name of a relative path without its suffix."""
    return posixpath.splitext(name.rsplit("/", 1)[-1])[0]


def segment_id(name: str, start_s: float, end_s: float) -> str:
    """Return the id of a part of a video, as the fragment of an address: ``a.mp4#t=10,20``."""
    end = "" if end_s != end_s else f",{end_s:.10g}"
    return f"{name}#t={0.0 if start_s != start_s else start_s:.10g}{end}"


def case_clashes(names: Iterable[str], what: str) -> list[str]:
    """Return a warning where names differ by upper and lower case only; else nothing."""
    by_folded: dict[str, set[str]] = {}
    for name in names:
        by_folded.setdefault(_folded(name), set()).add(name)
    clashes = sorted(sorted(same) for same in by_folded.values() if len(same) > 1)
    if not clashes:
        return []
    more = f" ({len(clashes)} such cases)" if len(clashes) > 1 else ""
    return [f"{what} that differ by upper and lower case only: {' and '.join(clashes[0])}{more}"]


def _normal(name: str) -> str:
    """Return the form that all ways to write the same accented letter share."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _normal(name).casefold()


class VideoNames:
    r"""Looks up names as people write them in tables.

    A name is a path relative to the folder, or an absolute one inside it; its suffix may be left
    out, ``\\`` stands for ``/``, and accents may be composed or not.
    """

    def __init__(self, root: Path, video_ids: Iterable[str]) -> None:
        self._root = root
        self._exact = {_normal(video_id): video_id for video_id in video_ids}
        self._by_stem: dict[str, list[str]] = {}
        for name, video_id in self._exact.items():
            self._by_stem.setdefault(posixpath.splitext(name)[0], []).append(video_id)

    def find(self, name: str) -> str | None:
        """Return the video that ``name`` means, or None."""
        for written in (name, name.replace("\\", "/")):
            found = self._look_up(written)
            if len(found) == 1:
                return found[0]
        return None

    def why_not(self, name: str) -> str:
        """Return why ``name`` means no video, or more than one; slow, so for a message only."""
        name = name.replace("\\", "/")
        meant = self._look_up(name)
        if meant:
            return f"it means {' or '.join(meant)}: write the suffix"
        relative = self._relative(_normal(name))
        if posixpath.isabs(relative) or relative.startswith("../"):
            return "it lies outside the folder"
        base = relative.casefold().rsplit("/", 1)[-1]
        for known, video_id in self._exact.items():
            if known.casefold() == relative.casefold():
                return f"the file is written {video_id}"
            if known.casefold().rsplit("/", 1)[-1] == base:
                return f"did you mean {video_id}?"
        close = difflib.get_close_matches(relative, list(self._exact)[:5000], n=1, cutoff=0.9)
        return f"did you mean {close[0]}?" if close else "there is no such file"

    def _look_up(self, name: str) -> list[str]:
        name = self._relative(_normal(name))
        if name in self._exact:
            return [self._exact[name]]
        return self._by_stem.get(name, [])

    def _relative(self, name: str) -> str:
        name = posixpath.normpath(name)
        return name.removeprefix(f"{self._root.as_posix()}/")

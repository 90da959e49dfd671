"""Frames of videos as image files in folders, for people who want files.

``OUT/VIDEO/000001.jpg`` and on, the rate in ``frames.json`` beside them, and the labels as before
(:mod:`vidclass.data.extracted_labels`), so that the folder is a data set again. A video's folder
appears by renaming when it is whole: a second call makes what is missing.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from PIL import Image

from vidclass.data.decode import DecodeError, FrameChoice, Frames, decode_video
from vidclass.data.extracted_labels import write_labels
from vidclass.data.image_folders import RATE_FILE, image_names
from vidclass.data.manifest import STATUS_OK, Dataset, segments
from vidclass.data.parallel import Died, for_each_file
from vidclass.errors import UserError
from vidclass.home import write_aside

__all__ = ["ExtractOptions", "Extracted", "extract_frames", "extract_video"]

ABOUT = "extract.json"
PART = ".part"


@dataclass(frozen=True)
class ExtractOptions:
    """What is extracted; at most one of fps, stride and num_frames is set.

    Attributes:
        fps: frames a second; nearest frames, never more than the file has.
        stride: every n-th frame.
        num_frames: n frames spread evenly over the video.
        short_side: in pixels, aspect kept, never scaled up; None keeps the file's size.
        image: form of the files.
        quality: of JPEG, 1 to 100.
    """

    fps: float | None = None
    stride: int | None = None
    num_frames: int | None = None
    short_side: int | None = None
    image: Literal["jpg", "png"] = "jpg"
    quality: int = 95


@dataclass(frozen=True)
class Extracted:
    """What became of a call.

    Attributes:
        num_videos: whose frames are there now.
        num_new: of those, made by this call.
        num_images: of all those videos.
        failed: from video to the reason why it has no frames.
    """

    num_videos: int
    num_new: int
    num_images: int
    failed: dict[str, str]


@dataclass(frozen=True)
class _Item:
    path: str
    folder: str
    start_s: float | None
    end_s: float | None
    options: ExtractOptions


def extract_frames(
    dataset: Dataset,
    out: Path,
    options: ExtractOptions,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Extracted:
    """Extract the frames of all videos of ``dataset`` that ``out`` does not hold yet, over Ray.

    Args:
        dataset: as a reader found it.
        out: a folder, new or of an earlier call with the same options.
        options: which frames, and how they are stored.
        progress: called with (done, total) of the videos that are missing.

    Raises:
        UserError: when ``out`` holds frames of other options or of another data set, or other
            files.
    """
    _claim(out, dataset, options)
    videos = dataset.manifest[dataset.manifest["status"] == STATUS_OK]
    part = segments(videos)
    folders = _folders(out, videos["video_id"].tolist())
    missing = [
        (
            str(row.video_id),
            _Item(str(row.path), str(folders[str(row.video_id)]), *bounds, options),
        )
        for row, bounds in zip(videos.itertuples(), _bounds(part), strict=True)
        if not folders[str(row.video_id)].is_dir()
    ]
    failed: dict[str, str] = {}
    items = [item for _, item in missing]
    for done, (place, answer) in enumerate(for_each_file(extract_video, items), start=1):
        if isinstance(answer, Died):
            failed[missing[place][0]] = answer.reason
        elif answer is not None:
            failed[missing[place][0]] = answer
        progress(done, len(missing))
    there = {video_id: folder for video_id, folder in folders.items() if folder.is_dir()}
    names = {video_id: folder.relative_to(out).as_posix() for video_id, folder in there.items()}
    write_labels(out, dataset, names)
    num_images = sum(len(image_names(folder)) for folder in there.values())
    num_new = len(missing) - len(failed)
    return Extracted(len(there), num_new, num_images, dict(sorted(failed.items())))


def extract_video(item: _Item) -> str | None:
    """Write the frames of one video; return the reason where it does not decode, else None."""
    folder = Path(item.folder)
    aside = folder.with_name(folder.name + PART)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    options, written = item.options, 0

    def begin(*_: int) -> None:
        nonlocal written
        written = 0

    def write(frames: Frames) -> None:
        nonlocal written
        for frame in frames:
            written += 1
            name = aside / f"{written:06d}.{options.image}"
            Image.fromarray(frame).save(name, quality=options.quality)  # PNG has none

    choice = FrameChoice(
        short_side=options.short_side,
        fps=options.fps,
        stride=options.stride,
        num_frames=options.num_frames,
        start_s=item.start_s,
        end_s=item.end_s,
    )
    try:
        decoded = decode_video(Path(item.path), choice, begin=begin, write=write)
    except DecodeError as error:
        shutil.rmtree(aside)
        return error.reason
    for extra in sorted(aside.iterdir())[written:]:  # of a reader that was given up
        extra.unlink()
    (aside / RATE_FILE).write_text(json.dumps({"fps": decoded.fps}) + "\n", encoding="utf-8")
    aside.rename(folder)
    return None


def _bounds(part: pd.DataFrame) -> list[tuple[float | None, float | None]]:
    def known(value: Any) -> float | None:
        return None if pd.isna(value) else float(value)

    return [(known(start), known(end)) for start, end in part.itertuples(index=False)]


def _claim(out: Path, dataset: Dataset, options: ExtractOptions) -> None:
    """Write down what ``out`` is for, or check that it is for this."""
    about = {"source": str(dataset.root), **asdict(options)}
    file = out / ABOUT
    if file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))
        differing = [key for key in about if before.get(key) != about[key]]
        if differing:
            told = ", ".join(f"{key} was {before.get(key)}, is {about[key]}" for key in differing)
            raise UserError(
                "a folder holds frames of one data set, extracted in one way", told, "another --out"
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("frames are extracted into a new or empty folder", out, "another --out")
    with write_aside(file) as aside:
        aside.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _folders(out: Path, video_ids: list[str]) -> dict[str, Path]:
    """Return the folder of each video: its name without suffix, or a_mp4 beside a_avi.

    Raises:
        UserError: for names that would still share a folder, as a.mp4 and A.mp4.
    """
    plain = {video_id: Path(video_id).with_suffix("") for video_id in video_ids}
    names = Counter(str(name).casefold() for name in plain.values())
    folders: dict[str, Path] = {}
    owner: dict[str, str] = {}
    for video_id, name in plain.items():
        if names[str(name).casefold()] > 1:
            name = name.with_name(Path(video_id).name.replace(".", "_"))
        other = owner.setdefault(str(name).casefold(), video_id)
        if other != video_id:
            raise UserError(
                "the videos of a data set differ in more than case, so that each has a folder",
                f"{other} and {video_id}",
                "rename one of them",
            )
        folders[video_id] = out / name
    return folders

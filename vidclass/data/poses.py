"""Poses as features: where body parts are in each frame, as numbers that a sequence model takes.

Legend: T frames, P points (an animal's body part each), D features.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from vidclass.data.pose_files import Point, Poses, read_poses
from vidclass.errors import UserError

__all__ = ["PoseFeatures", "PoseOptions", "pose_features", "read_pose"]

Float64 = npt.NDArray[np.float64]
MEAN = "mean"
FRAMES_APART = 2  # that a tracker's count of frames may be from the video's


class PoseOptions(BaseModel):
    """How positions become features."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    centre: str | None = None
    """Positions are counted from this body part of the same animal, or from the `mean` of its
    points; null leaves pixels. Where there are several animals, the centres of all but the first
    are counted from the first one's, so that how they stand to each other is kept."""
    scale: tuple[str, str] | float | None = None
    """Positions are divided by the median distance of two body parts of the same animal, such as
    `[nose, tail_base]`, or by a number of pixels; null leaves pixels."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """A point that the tracker is less sure of counts as missing."""
    missing: Literal["interpolate", "hold", "zero"] = "interpolate"
    """A missing position: on the line between those before and after it, the last one seen (before
    the first, the first), or 0 after centring. A point that is never there is 0."""
    scores: bool = False
    """Give the tracker's score of each point too, 0 where it is missing."""


class PoseFeatures(NamedTuple):
    """Features of all frames, float32 ``[T, D]``, and their names."""

    f_TD: npt.NDArray[np.float32]
    names: tuple[str, ...]


def read_pose(
    path: Path | str, options: PoseOptions | None = None, num_frames: int | None = None
) -> PoseFeatures:
    """Read a pose file as features. No such file says how many frames there are a second.

    Args:
        path: DeepLabCut's or SLEAP's, see :mod:`vidclass.data.pose_files`.
        options: how positions become features.
        num_frames: of the video; frames that the file leaves out at the end are missing.

    Raises:
        UserError: naming the file, and the line where there is one; also when it has more frames
            than the video, or lacks a body part that the options name.
        UserErrors: with all mistakes of a table.
    """
    path = Path(path)
    poses = read_poses(path)
    if num_frames is not None:
        poses = _of_length(poses, num_frames, path)
    try:
        return pose_features(poses, options or PoseOptions())
    except UserError as error:
        raise UserError(error.rule, f"{path.name}: {error.received}", error.remedy) from error


def _of_length(poses: Poses, num_frames: int, path: Path) -> Poses:
    found = len(poses.xy_TP2)
    if found > num_frames + FRAMES_APART:
        raise UserError(
            "a pose file has as many frames as its video",
            f"{path.name}: {found} frames, the video has {num_frames}",
            "the pose file of this video",
        )
    kept = min(found, num_frames)
    xy_TP2 = np.full((num_frames, *poses.xy_TP2.shape[1:]), np.nan)
    score_TP = np.full((num_frames, poses.score_TP.shape[1]), np.nan)
    xy_TP2[:kept], score_TP[:kept] = poses.xy_TP2[:kept], poses.score_TP[:kept]
    return Poses(poses.points, xy_TP2, score_TP)


def pose_features(poses: Poses, options: PoseOptions) -> PoseFeatures:
    """Return the features of all frames: x and y of each point, then perhaps its score.

    Raises:
        UserError: when an option names a body part that no animal has.
    """
    _check_parts(poses, options)
    unsure_TP = np.nan_to_num(poses.score_TP, nan=1.0) < options.min_score
    missing_TP = unsure_TP | np.isnan(poses.xy_TP2).any(axis=2)
    xy_TP2 = np.where(missing_TP[..., None], np.nan, poses.xy_TP2)
    factor_P = _factors(xy_TP2, poses.points, options.scale)
    if options.missing != "zero":
        xy_TP2 = _filled(xy_TP2, hold=options.missing == "hold")
    centres = {} if options.centre is None else _centres(xy_TP2, poses, options.centre)
    xy_TP2 = np.nan_to_num(_centred(xy_TP2, poses, centres, options) / factor_P[:, None], nan=0.0)
    columns, names = [], []
    for n, point in enumerate(poses.points):
        columns += [xy_TP2[:, n, 0], xy_TP2[:, n, 1]]
        names += [f"{point.animal}.{point.part}.x", f"{point.animal}.{point.part}.y"]
        if options.scores:
            score_T = np.nan_to_num(poses.score_TP[:, n], nan=1.0)
            columns.append(np.where(missing_TP[:, n], 0.0, score_T))
            names.append(f"{point.animal}.{point.part}.score")
    if options.centre == MEAN:
        first_T2, *others = centres.values()
        animals = list(centres)[1:]
        for animal, centre_T2 in zip(animals, others, strict=True):
            n = next(n for n, point in enumerate(poses.points) if point.animal == animal)
            apart_T2 = np.nan_to_num((centre_T2 - first_T2) / factor_P[n], nan=0.0)
            columns += [apart_T2[:, 0], apart_T2[:, 1]]
            names += [f"{animal}.{MEAN}.x", f"{animal}.{MEAN}.y"]
    return PoseFeatures(np.stack(columns, axis=1).astype(np.float32), tuple(names))


def _check_parts(poses: Poses, options: PoseOptions) -> None:
    named = [] if options.centre in (None, MEAN) else [str(options.centre)]
    named += options.scale if isinstance(options.scale, tuple) else []
    parts = sorted({point.part for point in poses.points})
    absent = [part for part in named if part not in parts]
    if absent:
        raise UserError("the body part is in the file", ", ".join(absent), ", ".join(parts))
    if isinstance(options.scale, float) and not options.scale > 0:
        raise UserError("a scale is above 0 pixels", options.scale, "scale: 100")


def _factors(
    xy_TP2: Float64, points: tuple[Point, ...], scale: tuple[str, str] | float | None
) -> Float64:
    """Return what the positions of each point are divided by."""
    if not isinstance(scale, tuple):
        return np.full(len(points), 1.0 if scale is None else scale)
    lengths = {}
    for animal in dict.fromkeys(point.animal for point in points):
        ends = [Point(animal, part) for part in scale]
        if all(end in points for end in ends):
            first_T2, second_T2 = (xy_TP2[:, points.index(end)] for end in ends)
            apart_T = np.linalg.norm(first_T2 - second_T2, axis=1)
            apart_T = apart_T[apart_T > 0]  # leaves out what is not a number, too
            if len(apart_T):
                lengths[animal] = float(np.median(apart_T))
    if not lengths:
        raise UserError(
            "an animal has both body parts of the scale in some frame",
            " and ".join(scale),
            "two parts that are often seen together, or a number of pixels",
        )
    usual = float(np.median(list(lengths.values())))  # for points of the arena
    return np.array([lengths.get(point.animal, usual) for point in points])


def _filled(xy_TP2: Float64, *, hold: bool) -> Float64:
    """Return positions without gaps; a point that is never there stays missing."""
    filled = xy_TP2.copy()
    frames_T = np.arange(len(xy_TP2))
    for n in range(xy_TP2.shape[1]):
        there = np.flatnonzero(~np.isnan(xy_TP2[:, n, 0]))
        if not len(there):
            continue
        if hold:
            last = np.maximum(np.searchsorted(there, frames_T, side="right") - 1, 0)
            filled[:, n] = xy_TP2[there[last], n]
        else:
            for axis in range(2):
                filled[:, n, axis] = np.interp(frames_T, there, xy_TP2[there, n, axis])
    return filled


def _centres(xy_TP2: Float64, poses: Poses, centre: str) -> dict[str, Float64]:
    """Return where the centre of each animal is, those left out that have none."""
    centres = {}
    for animal in poses.animals:
        own = [n for n, point in enumerate(poses.points) if point.animal == animal]
        if centre == MEAN:
            seen = ~np.isnan(xy_TP2[:, own, :1])
            total = np.where(seen, xy_TP2[:, own], 0.0).sum(axis=1)
            count = seen.sum(axis=1)
            centres[animal] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        elif Point(animal, centre) in poses.points:
            centres[animal] = xy_TP2[:, poses.points.index(Point(animal, centre))]
    return centres


def _centred(
    xy_TP2: Float64, poses: Poses, centres: dict[str, Float64], options: PoseOptions
) -> Float64:
    """Return positions from the centre of their animal; points of no animal, from the first's."""
    if not centres:
        return xy_TP2
    first_T2 = next(iter(centres.values()))
    result = xy_TP2.copy()
    for n, point in enumerate(poses.points):
        is_centre = point.part == options.centre
        result[:, n] -= first_T2 if is_centre else centres.get(point.animal, first_T2)
    return result

"""Videos that show the same footage though their files differ: re-encoded, rescaled, cut shorter.

Two steps. Videos of which some picture has nearly the same perceptual hash are candidates (found by
sorting, not by comparing all pairs). Then the pictures themselves decide: over the moments that the
two share, what moves in them has to correlate.

Legend: F pictures, N pictures of all videos, P pairs of videos, M matching pictures.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.frame_store import FrameStore
from vidclass.data.signatures import (
    MOVES,
    Signature,
    UInt64,
    grid_frames,
    signature_of,
    small_pictures,
)

__all__ = ["near_duplicates", "stored_copies"]

HASH_BITS = 64
BANDS = 7
FREE_BANDS = 3
"""A hash is cut into 7 bands, and any 3 of them are a key: hashes that differ in at most 4 bits
share a key for certain. One of up to 64 pictures is enough to make two videos candidates."""
CROWD = 2000
"""Pictures under one key beyond which they are taken for one that says nothing (black, a logo)."""
ALIKE_BITS = 12
LEAST_PICTURES = 8
MOST_SHIFTS = 3
SAME_FOOTAGE = 0.85
"""Correlation from which two videos show the same footage; see docs/data_checks.md for why."""
STILL_LEVELS = 4.0


def near_duplicates(prints: Mapping[str, Signature]) -> pd.DataFrame:
    """Return the pairs of videos that show the same footage.

    Args:
        prints: signature of each video by its id.

    Returns:
        Rows of ``video_a``, ``video_b`` (a before b in order), ``correlation``, ``shift_s`` (how
        much later b's clock shows the same moment), ``pictures`` (compared) and ``told``.
    """
    ids = sorted(prints)
    rows = []
    for a, b in _candidates([prints[video_id] for video_id in ids]):
        found = _compare(prints[ids[a]], prints[ids[b]])
        if found is not None:
            correlation, shift_s, pictures = found
            told = f"the same footage (correlation {correlation:.2f}"
            told += f", {abs(shift_s):.1f} s apart)" if abs(shift_s) > 0 else ")"
            rows.append((ids[a], ids[b], correlation, shift_s, pictures, told))
    columns = ["video_a", "video_b", "correlation", "shift_s", "pictures", "told"]
    return pd.DataFrame(rows, columns=columns)


def stored_copies(
    store: FrameStore, video_ids: Sequence[str], progress: Callable[[str, int, int], None]
) -> pd.DataFrame:
    """Return what `near_duplicates` finds among stored videos.

    Args:
        store: holds their frames.
        video_ids: which.
        progress: called with ("copies", done, total) videos.
    """
    prints = {}
    rates = store.rows(video_ids)["fps"].tolist()
    for done, (video_id, fps) in enumerate(zip(video_ids, rates, strict=True), start=1):
        frames_THWC = store.frames(video_id)
        chosen, step_s = grid_frames(frames_THWC.shape[0], fps)
        pictures = small_pictures(np.asarray(frames_THWC[chosen]))
        prints[video_id] = signature_of(pictures, step_s)
        progress("copies", done, len(video_ids))
    return near_duplicates(prints)


def _candidates(prints: list[Signature]) -> list[tuple[int, int]]:
    """Return pairs of places whose hashes share a key, and that both move or both do not."""
    found: set[tuple[int, int]] = set()
    for moving in (True, False):
        places = [place for place, print_ in enumerate(prints) if print_.moves is moving]
        if len(places) < 2:
            continue
        hash_N = np.concatenate([prints[place].hash_F for place in places])
        owner_N = np.repeat(places, [len(prints[place].hash_F) for place in places])
        for mask in _masks():
            found |= _sharing(hash_N & mask, owner_N)
    return sorted(found)


def _masks() -> list[np.uint64]:
    """Return a mask for each choice of bands."""
    edges = np.linspace(0, HASH_BITS, BANDS + 1).round().astype(int)
    bands = [
        sum(1 << bit for bit in range(low, high))
        for low, high in itertools.pairwise(edges.tolist())
    ]
    return [np.uint64(sum(chosen)) for chosen in itertools.combinations(bands, FREE_BANDS)]


def _sharing(key_N: UInt64, owner_N: npt.NDArray[np.int64]) -> set[tuple[int, int]]:
    """Return the pairs of owners that have a key in common."""
    order = np.lexsort((owner_N, key_N))
    key, owner = key_N[order], owner_N[order]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    sizes = np.diff(np.append(starts, len(key)))
    pairs: set[tuple[int, int]] = set()
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        if size > CROWD:
            continue
        owners = np.unique(owner[start : start + size])
        if len(owners) > 1:
            first, second = np.triu_indices(len(owners), 1)
            pairs.update(zip(owners[first].tolist(), owners[second].tolist(), strict=True))
    return pairs


def _compare(a: Signature, b: Signature) -> tuple[float, float, int] | None:
    """Return correlation, shift in seconds and pictures compared; None for different footage."""
    coarse, fine, sign = (a, b, 1) if a.step_s >= b.step_s else (b, a, -1)
    apart_FF = np.bitwise_count(coarse.hash_F[:, None] ^ fine.hash_F[None, :])
    place_coarse, place_fine = np.nonzero(apart_FF <= ALIKE_BITS)
    if not len(place_coarse):
        return None
    # Grids lie in each other: picture k of the coarse one is shown with a picture of the fine one.
    every = round(coarse.step_s / fine.step_s)
    shifts, votes = np.unique(place_fine - every * place_coarse, return_counts=True)
    best: tuple[float, float, int] | None = None
    for shift in shifts[np.argsort(-votes, kind="stable")][:MOST_SHIFTS].tolist():
        match_coarse = np.arange(len(coarse.hash_F))
        match_fine = every * match_coarse + shift
        inside = (match_fine >= 0) & (match_fine < len(fine.hash_F))
        if inside.sum() < LEAST_PICTURES:
            continue
        pictures = coarse.small_FHW[match_coarse[inside]].astype(np.float64)
        others = fine.small_FHW[match_fine[inside]].astype(np.float64)
        correlation = _agreement(pictures, others)
        if correlation >= SAME_FOOTAGE and (best is None or correlation > best[0]):
            best = (correlation, sign * shift * fine.step_s, int(inside.sum()))
    return best


def _agreement(a_FHW: npt.NDArray[np.float64], b_FHW: npt.NDArray[np.float64]) -> float:
    """Return the correlation of what moves in both; of the pictures themselves where nothing does.

    Two stills agree only when their grey levels are the same too, up to compression.
    """
    moving_a, moving_b = _moving(a_FHW), _moving(b_FHW)
    if min(moving_a.std(), moving_b.std()) < MOVES:
        if np.abs(a_FHW - b_FHW).mean() > STILL_LEVELS:
            return 0.0
        moving_a, moving_b = a_FHW - a_FHW.mean(), b_FHW - b_FHW.mean()
    spread = float(moving_a.std() * moving_b.std())
    if spread == 0.0:
        return 0.0  # a plain picture, black for example, is nobody's copy
    return float((moving_a * moving_b).mean() / spread)


def _moving(pictures_FHW: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what changes over time, but for the brightness of whole pictures (fades, flashes)."""
    plain_FHW = pictures_FHW - pictures_FHW.mean(axis=(1, 2), keepdims=True)
    moving: npt.NDArray[np.float64] = plain_FHW - plain_FHW.mean(axis=0)
    return moving

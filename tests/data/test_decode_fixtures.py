"""Every odd file of other projects' test suites: its stated outcome, and its frames against PyAV.

The files lie in ../shared/data/decode_fixtures; decode_outcomes.csv states what becomes of each.
Counts and sizes there agree with ffprobe's (nasa_13013.mp4 has two streams: the larger one).
"""

import csv
import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest

from vidclass.data.containers import is_turned
from vidclass.data.decode import (
    DecodeError,
    FrameChoice,
    choose_frames,
    decode,
    decode_video,
    probe,
)
from vidclass.data.decoded import Decoded
from vidclass.data.frame_choice import scaled_size
from vidclass.data.pyav_reader import scan

TABLE = Path(__file__).with_name("decode_outcomes.csv")
with TABLE.open(newline="") as opened:
    OUTCOMES = {row["file"]: row for row in csv.DictReader(opened)}

# Chroma of odd sizes and of more than 8 bits is interpolated differently by FFmpeg's versions.
EXACT, LOOSE = 0.01, 5.0
LOOSELY = ("10bit", "12bit", "bits", "odd", "hdr")
NUM_LOOKED_AT = 6


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "decode_fixtures"


def collected(path: Path, **choice: float) -> tuple[Decoded, np.ndarray]:
    chunks: list[np.ndarray] = []
    decoded = decode_video(
        path, FrameChoice(**choice), begin=lambda *_: chunks.clear(), write=chunks.append
    )
    return decoded, np.concatenate(chunks)


def in_pyav(path: Path, numbers: list[int]) -> np.ndarray:
    with av.open(str(path)) as container:
        decoded = enumerate(container.decode(container.streams.best("video")))
        wanted = [frame for number, frame in decoded if number in numbers]
        return np.stack(
            [
                np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90) % 4)
                for frame in wanted
            ]
        )


def test_every_file_has_a_stated_outcome(folder):
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_outcome_is_the_stated_one_and_frames_are_those_of_pyav(folder, name):
    stated = OUTCOMES[name]
    if stated["outcome"] == "quarantined":
        with pytest.raises(DecodeError) as caught:
            decode(folder / name)
        assert caught.value.reason == stated["reason"]
        return
    decoded, frames = collected(folder / name)
    sides = [int(stated[side]) for side in ("num_frames", "height", "width")]
    assert list(frames.shape) == [*sides, 3]
    assert decoded.fps == pytest.approx(float(stated["fps"]), rel=1e-5)
    if importlib.util.find_spec("decord.dlpack"):  # decord 0.6; decord2 reads other files
        assert decoded.reader == stated["reader"]

    looked_at = np.unique(np.linspace(0, len(frames) - 1, NUM_LOOKED_AT).round().astype(int))
    expected = in_pyav(folder / name, looked_at.tolist())
    difference = np.abs(frames[looked_at].astype(np.int16) - expected).mean()
    assert difference < (LOOSE if any(word in name for word in LOOSELY) else EXACT)


@pytest.mark.parametrize("name", OUTCOMES)
def test_any_choice_gives_the_frames_that_reading_in_order_gives(folder, name):
    path = folder / name
    decoded, frames = collected(path, short_side=40)
    times_s = scan(path).times_s
    span_s = times_s[-1] - times_s[0]
    for choice in (
        {"stride": 3},
        {"num_frames": 2},
        {"num_frames": 5},
        {"start_s": 0.4 * span_s, "end_s": 0.7 * span_s},
    ):
        numbers, _ = choose_frames(times_s, decoded.fps, FrameChoice(**choice))
        chosen = collected(path, short_side=40, **choice)[1]
        np.testing.assert_array_equal(chosen, frames[numbers])


@pytest.mark.parametrize("name", list(OUTCOMES)[::3])
def test_probing_tells_what_decoding_finds(folder, name):
    found = probe(folder / name)
    frames, fps = decode(folder / name, short_side=40)
    assert frames.shape == (found.num_frames, *scaled_size(found.height, found.width, 40), 3)
    assert fps == pytest.approx(found.fps)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turned_files_are_upright_whatever_their_size(folder, monkeypatch, degrees):
    path = folder / "decord" / f"video_{degrees}.mov"
    frames, _ = decode(path, short_side=64)
    monkeypatch.setattr("vidclass.data.decord_reader.SMALL_FILE", 0)
    np.testing.assert_array_equal(decode(path, short_side=64)[0], frames)
    assert is_turned(path) == (degrees != 0)
    assert (frames.shape[1] > frames.shape[2]) == (degrees in (90, 270))

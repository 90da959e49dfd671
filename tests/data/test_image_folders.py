"""Folders of images as videos."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vidclass.data.decode import DecodeError, decode, probe
from vidclass.data.image_folders import image_names


@pytest.fixture
def folder(tmp_path):
    """Seven PNG frames of 24 x 16, frame k a grey of 10 k, named without leading zeros."""
    for k in range(4, 11):
        pixels = np.full((16, 24, 3), 10 * k, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"frame{k}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / ".hidden.png").write_bytes(b"no frame")
    return tmp_path


def greys(frames):
    return frames[:, 0, 0, 0].tolist()


def test_frames_come_in_the_order_of_their_numbers(folder):
    frames, fps = decode(folder)
    assert frames.shape == (7, 16, 24, 3) and fps == 1.0
    assert greys(frames) == [40, 50, 60, 70, 80, 90, 100]
    assert image_names(folder)[-1] == "frame10.png"


@given(st.lists(st.text("ab019²٣", min_size=1, max_size=6), unique=True))
def test_any_names_have_an_order(names):
    from vidclass.data.image_folders import natural

    assert sorted(names, key=natural) == sorted(reversed(names), key=natural)


def test_the_rate_is_written_beside_the_frames(folder):
    (folder / "frames.json").write_text(json.dumps({"fps": 2.5}), encoding="utf-8-sig")
    found = probe(folder)
    assert (found.num_frames, found.fps, found.width, found.height) == (7, 2.5, 24, 16)
    assert found.duration_s == 2.8 and found.bitrate_bps > 0
    assert decode(folder, stride=3)[1] == pytest.approx(2.5 / 3)
    assert greys(decode(folder, stride=3)[0]) == [40, 70, 100]
    assert greys(decode(folder, num_frames=2)[0]) == [50, 90]
    assert greys(decode(folder, start_s=0.8, end_s=1.6)[0]) == [60, 70]


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "holds no rate"), ("[]", "holds no rate"), ('{"fps": null}', "holds no rate"),
     ('{"fps": 0}', "not above 0"), ('{"fps": NaN}', "not above 0"), (b"\xff", "cannot be read")],
)  # fmt: skip
def test_a_rate_that_is_none(folder, text, told):
    (folder / "frames.json").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DecodeError, match=told):
        probe(folder)


def test_scaling_keeps_the_aspect_and_never_goes_up(folder):
    assert decode(folder, short_side=8)[0].shape == (7, 8, 12, 3)
    assert decode(folder, short_side=99)[0].shape == (7, 16, 24, 3)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_all_kinds_of_images_become_rgb(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 200 << 8, dtype=np.uint16))
    else:
        image = Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode)
    image.save(tmp_path / "a.tiff")
    frames, _ = decode(tmp_path)
    assert frames.shape == (1, 8, 8, 3)
    assert greys(frames) == [200 if mode == "I;16" else 255]


def test_an_image_that_lies_on_its_side_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert (probe(tmp_path).height, probe(tmp_path).width) == (20, 10)


def test_reasons_name_the_image(folder):
    (folder / "frame6.png").write_bytes((folder / "frame6.png").read_bytes()[:40])
    with pytest.raises(DecodeError, match=r"frame6\.png is damaged"):
        decode(folder)
    Image.new("RGB", (4, 4)).save(folder / "frame6.png")
    with pytest.raises(DecodeError, match=r"frame4\.png is 24x16, frame6\.png is 4x4"):
        decode(folder)


def test_a_folder_without_images(tmp_path):
    with pytest.raises(DecodeError, match="holds no images"):
        probe(tmp_path)
    with pytest.raises(DecodeError, match="cannot be read"):
        probe(tmp_path / "gone")

"""Contact sheets: strips that keep every pixel, as a picture and as a page."""

import numpy as np
import pytest
from matplotlib.image import imread

from vidclass.data.contact_sheet import Strip, shown_frames, strip_picture, write_sheet


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [(1, [0]), (3, [0, 1, 2]), (12, list(range(12))), (100, [0, 9, 18, 27, 36, 45, 54, 63])],
)
def test_a_long_clip_shows_frames_from_first_to_last(num_frames, expected):
    shown = shown_frames(num_frames)
    assert shown[: len(expected)] == expected
    assert shown[-1] == num_frames - 1 and len(shown) <= 12


def test_small_frames_are_enlarged_pixel_by_pixel():
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 40, 3), dtype=np.uint8)
    picture = strip_picture(frames)
    assert picture.shape == (96, 3 * 120 + 2 * 2, 3)
    np.testing.assert_array_equal(picture[::3, 122:242:3], frames[1])
    assert (picture[:, 120:122] == 255).all()
    large = np.zeros((2, 200, 100, 3), dtype=np.uint8)
    assert strip_picture(large).shape == (200, 202, 3)


def test_the_sheet_holds_each_strip_and_the_page_its_caption(tmp_path):
    generator = np.random.default_rng(0)
    strips = [
        Strip(f"clip {n} <of> several", generator.integers(0, 256, (4, 96, 96, 3), dtype=np.uint8))
        for n in range(3)
    ]
    png, page = write_sheet(strips, tmp_path / "new" / "sheet", title="T & U", about="three")
    sheet = (imread(png)[..., :3] * 255).round().astype(np.uint8)
    assert sheet.shape[0] == 3 * (96 + 22)
    for number, strip in enumerate(strips):
        top = number * (96 + 22) + 22
        shown = sheet[top : top + 96, : 4 * 98 - 2]
        np.testing.assert_array_equal(shown, strip_picture(strip.frames_THWC))
    text = page.read_text(encoding="utf-8")
    assert "clip 2 &lt;of&gt; several" in text and "T &amp; U" in text
    assert text.count("data:image/png;base64,") == 3

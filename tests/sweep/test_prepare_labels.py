"""A study counts frames against the labels of frames before it begins."""

from pathlib import Path

import pytest

from tests.data.test_near_duplicates import footage, write
from tests.sweep.test_prepare_leaks import prepared
from vidclass.errors import UserErrors

WINDOWS = "data.windows={length_frames: 3, stride_frames: 3}"


@pytest.mark.usefixtures("small_ray")
def test_frames_and_labels_that_are_not_the_same_are_refused(home: Path, tmp_path: Path) -> None:
    rows = []
    for k in range(6):
        write(tmp_path / f"v{k}.mp4", footage(k)[:12])
        rows += [f"v{k},{frame},{'ab'[frame // 6]}" for frame in range(12)]
    rows.remove("v3,7,b")
    (tmp_path / "labels.csv").write_text("\n".join(["video,frame,label", *rows]) + "\n")
    with pytest.raises(UserErrors, match="every frame has a label row") as told:
        prepared(tmp_path, home, WINDOWS)
    assert "v3.mp4: 12 frames, 11 labels (-1), without label: 7" in str(told.value)

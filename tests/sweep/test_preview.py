"""Clips of a preview are those of a trial."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from vidclass.data.commands.preview import command
from vidclass.errors import UserError, UserErrors
from vidclass.sweep.preview import load_preview, preview

CLASSES = ("left", "right", "rest")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of two videos; each frame is grey and says its class and its number."""
    root = tmp_path_factory.mktemp("videos")
    for label, name in enumerate(CLASSES):
        (root / name).mkdir()
        for video in range(2):
            with av.open(str(root / name / f"{video}.mp4"), "w") as container:
                stream = container.add_stream("libx264", rate=10)
                stream.width = stream.height = 64
                stream.pix_fmt = "yuv420p"
                for k in range(20):
                    picture = np.full((64, 64, 3), 40 + 60 * label, dtype=np.uint8)
                    picture[:, :32] = 40 + 10 * k
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
                container.mux(stream.encode())
    return root


@pytest.fixture
def strips(folder: Path, tmp_path: Path) -> Callable[..., list[tuple[str, np.ndarray]]]:
    def make(*overrides: str, **options: object) -> list[tuple[str, np.ndarray]]:
        fields = ["data.input_size=32", "data.store.short_side=32", *overrides]
        loaded = load_preview(None, str(folder), fields)
        given = {"num_videos": 6, "draws": 1, "seed": 0, "evaluation": False, **options}
        return preview(loaded, "clips", tmp_path, **given)

    return make


def test_videos_of_all_classes_come_in_turn(strips) -> None:
    shown = strips(num_videos=5)
    labels = [strip.caption.split(": ")[1].split(";")[0] for strip in shown]
    assert labels[:3] == sorted(CLASSES) and len(labels) == 5
    assert all(strip.frames_THWC.shape == (10, 32, 32, 3) for strip in shown)
    assert all(strip.frames_THWC.dtype == np.uint8 for strip in shown)


def test_the_frames_are_those_that_the_caption_names(strips) -> None:
    for strip in strips("data.sampling.kind=last"):
        assert strip.caption.endswith("frames 10 to 19")
        left = strip.frames_THWC[:, :, 4:12].mean(axis=(1, 2, 3))
        np.testing.assert_allclose(left, 40 + 10 * np.arange(10, 20), atol=4)


def test_motion_is_shown_where_it_is_what_the_model_sees(strips) -> None:
    for strip in strips("data.input=difference"):
        left, right = strip.frames_THWC[:, :, 4:12], strip.frames_THWC[:, :, 20:28]
        assert abs(left.mean() - (128 + 10)) < 2 and abs(right.mean() - 128) < 2


def test_a_mask_of_the_arm_is_shown(strips) -> None:
    masks = "arms.0.fixed={data.store.masks: [{left: 0, top: 0, right: 0.5, bottom: 1}]}"
    for strip in strips(masks):
        assert abs(strip.frames_THWC[:, :, :16].mean() - 128) < 2
        label = strip.caption.split("/")[0]
        right = strip.frames_THWC[:, :, 24:].mean()
        assert abs(right - (40 + 60 * CLASSES.index(label))) < 4


def test_a_mirrored_clip_shows_its_new_label(strips) -> None:
    shown = strips("data.augment.flip=true", "data.augment.flip_pairs=[[left,right]]", draws=4)
    exchanged = {"left": "right", "right": "left"}
    for strip in shown:
        label = strip.caption.split("/")[0]
        right_half = strip.frames_THWC[0, :, 20:].mean()
        still = 40 + 60 * CLASSES.index(label)
        mirrored = abs(right_half - still) > 6
        becomes = f"{label} becomes {exchanged.get(label)}" in strip.caption
        assert becomes == (mirrored and label in exchanged)
    assert len(shown) == 24


def test_mixed_clips_name_both_shares(strips) -> None:
    captions = [strip.caption for strip in strips("data.augment.mixup_alpha=1.0", draws=3)]
    assert any("becomes 0." in caption and " + 0." in caption for caption in captions)


def test_evaluation_shows_every_view(strips) -> None:
    shown = strips(
        "data.views=2",
        "data.crop.test=five",
        "data.crop.scale=1.5",
        "data.store.short_side=48",
        num_videos=1,
        evaluation=True,
    )
    assert len(shown) == 10
    assert "view 10 of 10" in shown[-1].caption


def test_an_unknown_arm_and_no_videos_are_told(folder: Path, tmp_path: Path) -> None:
    loaded = load_preview(None, str(folder), [])
    options = {"num_videos": 1, "draws": 1, "seed": 0, "evaluation": False}
    with pytest.raises(UserError, match="one of: clips"):
        preview(loaded, "slow", tmp_path, **options)
    with pytest.raises(UserError, match="a study, or --data"):
        load_preview(None, None, [])


def test_videos_without_labels_are_shown_too(folder: Path, tmp_path: Path) -> None:
    fields = ["data.input_size=32", "data.store.short_side=32"]
    loaded = load_preview(None, f"unlabelled:{folder}", fields)
    shown = preview(loaded, "clips", tmp_path, num_videos=4, draws=1, seed=0, evaluation=False)
    assert len(shown) == 4 and all("(no label)" in strip.caption for strip in shown)


def test_a_pair_of_an_unknown_class_is_told(strips) -> None:
    with pytest.raises(UserErrors, match="up"):
        strips("data.augment.reverse_pairs=[[up,left]]")


def test_the_command_writes_a_picture_and_a_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(
        study=None,
        data=str(folder),
        arm=None,
        out=tmp_path / "sheet",
        videos=2,
        draws=1,
        evaluation=False,
        seed=0,
        set_=["data.input_size=64", "data.store.short_side=64"],
    )
    assert capsys.readouterr().out.count("written: ") == 2
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert "training clips of clips" in (tmp_path / "sheet.html").read_text()

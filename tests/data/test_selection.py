"""Some classes and a share of the groups of a data set."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.manifests import manifest_of
from vidclass.data.selection import select_videos
from vidclass.errors import UserError, UserErrors

MANIFEST = manifest_of({name: [2] * 8 for name in ("clap", "jump", "run", "walk", "wave")})


def test_named_classes_are_kept() -> None:
    kept = select_videos(MANIFEST, classes=("run", "walk"))
    assert sorted(kept["label"].unique()) == ["run", "walk"] and len(kept) == 32


def test_a_number_of_classes_is_drawn_the_same_every_time() -> None:
    drawn = [set(select_videos(MANIFEST, classes=3, seed=s)["label"]) for s in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1] and all(len(names) == 3 for names in drawn)
    assert len({frozenset(names) for names in drawn}) > 1


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0.01, 1.0), larger=st.floats(0.01, 1.0), seed=st.integers(0, 99))
def test_a_share_keeps_whole_groups_of_every_class_and_is_nested(
    share: float, larger: float, seed: int
) -> None:
    small, large = sorted((share, larger))
    kept = select_videos(MANIFEST, share=small, seed=seed)
    assert set(kept["label"]) == set(MANIFEST["label"])
    assert (kept.groupby("group").size() == 2).all()
    assert set(kept["video_id"]) <= set(select_videos(MANIFEST, share=large, seed=seed)["video_id"])


def test_nothing_selected_is_everything() -> None:
    assert select_videos(MANIFEST) is MANIFEST
    assert len(select_videos(MANIFEST, share=1.0)) == len(MANIFEST)


def test_unlabelled_videos_are_left_out_of_a_selection() -> None:
    manifest = MANIFEST.assign(label=MANIFEST["label"].mask(MANIFEST["group"] == "run0", None))
    assert "run0" not in set(select_videos(manifest, classes=("run", "walk"))["group"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"classes": ("rn", "walk")}, "did you mean run"),
        ({"classes": ("walk",)}, "two classes or more"),
        ({"classes": 1}, "between 2 and the 5"),
        ({"classes": 6}, "between 2 and the 5"),
        ({"share": 0.0}, "above 0"),
        ({"share": 1.5}, "above 0"),
    ],
)
def test_wrong_selections_are_told(options: dict[str, object], told: str) -> None:
    with pytest.raises((UserError, UserErrors), match=told):
        select_videos(MANIFEST, **options)  # type: ignore[arg-type]

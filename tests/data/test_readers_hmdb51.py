"""HMDB51 in its published form: one list a class and split, 1 train, 2 test, 0 unused."""

from pathlib import Path

import pytest

from vidclass.data.leakage import check_leakage
from vidclass.data.published_splits import published_splits
from vidclass.data.readers import read_dataset
from vidclass.errors import UserErrors

# class -> movies; Troy and RushHour2 are in two classes
MOVIES = {
    "brush_hair": ["April_09", "Brunette", "Troy", "WoMen#2", "Haare_(1)", "RushHour2"],
    "climb_stairs": ["Troy", "RushHour2", "Stairs_up", "Rocky", "Titanic", "50_FIRST_DATES"],
}


def clip(label: str, movie: str, number: int = 0) -> str:
    return f"{movie}_{label}_u_nm_np1_ba_goo_{number}.avi"


@pytest.fixture
def root(tmp_path) -> Path:
    """Videos and lists as their archives unpack."""
    root = tmp_path / "hmdb"
    lists = root / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    for label, movies in MOVIES.items():
        (root / label).mkdir()
        for split in (1, 2, 3):
            lines = []
            for place, movie in enumerate(movies):
                (root / label / clip(label, movie)).write_bytes(b"x")
                number = 0 if place == 5 else 2 if place == split - 1 else 1
                lines.append(f"{clip(label, movie)} {number} \n")
            (lists / f"{label}_test_split{split}.txt").write_text("".join(lines))
    return root


def read(source, tmp_path, **options):
    return read_dataset(str(source), home=tmp_path / "home", **options)


def test_the_published_form(root, tmp_path):
    dataset = read(root, tmp_path)
    manifest = dataset.manifest.set_index("video_id")
    row = manifest.loc[f"climb_stairs/{clip('climb_stairs', 'Troy')}"]
    assert (row["label"], row["group"], row["movie"]) == (
        "climb_stairs",
        "climb_stairs/Troy",
        "Troy",
    )
    assert (row["split_1"], row["split_2"]) == ("test", "train")
    assert manifest.loc[f"climb_stairs/{clip('climb_stairs', '50_FIRST_DATES')}", "split_1"] is None
    assert sorted(manifest.groupby("label")["movie"].nunique()) == [6, 6]


def test_movies_of_several_classes_are_a_warning_and_the_split_is_kept(root, tmp_path):
    dataset = read(root, tmp_path)
    told = "\n".join(dataset.warnings)
    assert "2 source movies have clips of several classes, first RushHour2" in told
    # split 1: Troy is test in climb_stairs (1 clip) and train in brush_hair
    assert "published split 1: 1 movies are in train and test, 1 of 2 test videos" in told
    splits = published_splits(dataset.manifest, "all", seed=0)
    check_leakage(splits, dataset.manifest)  # groups are (class, movie), so nothing is refused


def test_a_flat_folder_takes_the_longest_class_that_fits(tmp_path):
    for label in ("stairs", "climb_stairs"):
        (tmp_path / f"{label}_test_split1.txt").write_text(f"{clip(label, 'Rocky')} 1\n")
        (tmp_path / clip(label, "Rocky")).write_bytes(b"x")
    manifest = read(tmp_path, tmp_path).manifest
    assert manifest["label"].tolist() == ["climb_stairs", "stairs"]
    assert manifest["movie"].tolist() == ["Rocky", "Rocky"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("X_climb_stairs_u_nm_np1_ba_goo_0.avi 3\n", "is a video and 0, 1 or 2.*split1.txt line 1"),
        (f"{clip('climb_stairs', 'Troy')} 1\n" * 2, "once in a list.*split1.txt line 2"),
        ("\n\nnonsense\n", "split1.txt line 3: nonsense"),
    ],
)
def test_mistakes_in_lists_name_their_line(root, tmp_path, text, told):
    (root / "testTrainMulti_7030_splits" / "climb_stairs_test_split1.txt").write_text(text)
    with pytest.raises(UserErrors, match=told):
        read(root, tmp_path)


def test_absent_videos_and_strange_names_are_told(root, tmp_path):
    (root / "brush_hair" / clip("brush_hair", "Brunette")).unlink()
    (root / "brush_hair" / "holiday.avi").write_bytes(b"x")
    told = "\n".join(read(root, tmp_path).warnings)
    assert "1 videos of the lists are not in the folder, first Brunette" in told
    assert "left out, not called as HMDB51's are: 1, first brush_hair/holiday.avi" in told


def test_files_of_one_clip_are_told(root, tmp_path):
    (root / "climb_stairs" / clip("climb_stairs", "Rocky").replace(".avi", ".mp4")).write_bytes(
        b"y"
    )
    told = "mp4 from climb_stairs/Rocky_climb_stairs_u_nm_np1_ba_goo_0.avi"
    assert any(told in warning for warning in read(root, tmp_path).warnings)

"""Whole data sets in their published form, fetched from loopback, and read."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.data.archives import PACKED, rar_bytes, tar_bytes, zip_bytes
from tests.data.loopback import Site, serve
from vidclass.data.__main__ import app
from vidclass.data.fetch.download import Patience
from vidclass.data.fetch.run import Fetch, fetch
from vidclass.data.manifest import published_columns
from vidclass.data.readers import read_dataset
from vidclass.errors import UserError

SOON = Patience(attempts=2, wait_s=0.01, timeout_s=5)


def ucf101() -> dict[str, bytes]:
    videos, train, test = {}, "", ""
    for label in ("Biking", "YoYo"):
        for group in range(1, 4):
            name = f"{label}/v_{label}_g{group:02d}_c01.avi"
            videos[f"UCF-101/{name}"] = name.encode()
            test, train = (
                (test + f"{name}\r\n", train) if group == 1 else (test, train + f"{name} 1\r\n")
            )
    lists = {
        "ucfTrainTestlist/classInd.txt": b"1 Biking\r\n2 YoYo\r\n",
        "ucfTrainTestlist/trainlist01.txt": train.encode(),
        "ucfTrainTestlist/testlist01.txt": test.encode(),
    }
    return {
        "/m/UCF101.rar": rar_bytes(videos),
        "/m/UCF101TrainTestSplits-RecognitionTask.zip": zip_bytes(lists),
    }


def hmdb51() -> dict[str, bytes]:
    classes, lists = {}, {}
    for label in ("brush_hair", "wave"):
        names = [f"Movie{n}_{label}_u_nm_np1_ba_goo_0.avi" for n in range(3)]
        classes[f"{label}.rar"] = rar_bytes({f"{label}/{name}": name.encode() for name in names})
        lines = "".join(f"{name} {1 + (n == 0)} \n" for n, name in enumerate(names))
        lists[f"testTrainMulti_7030_splits/{label}_test_split1.txt"] = lines.encode()
    return {"/m/hmdb51_org.rar": rar_bytes(classes), "/m/test_train_splits.rar": rar_bytes(lists)}


def kinetics400() -> dict[str, bytes]:
    header = "label,youtube_id,time_start,time_end,split,is_cc\n"
    files = {"/m/annotations/test.csv": b"youtube_id,time_start,time_end,split\nz,0,10,test\n"}
    for split in ("train", "val"):
        rows = "".join(
            f"{label},{split}_{label}{n},0,10,{split},0\n" for label in "ab" for n in (0, 1)
        )
        files[f"/m/annotations/{split}.csv"] = (header + rows).encode()
        lines = []
        for n in (0, 1):
            clips = {f"{split}_{label}{n}_000000_000010.mp4": b"x" for label in "ab"}
            files[f"/m/{split}/part_{n}.tar.gz"] = tar_bytes(clips)
            lines.append(f"https://s3.amazonaws.com/kinetics/400/{split}/part_{n}.tar.gz\n")
        files[f"/m/{split}/k400_{split}_path.txt"] = "".join(lines).encode()
    return files


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site(files={**ucf101(), **hmdb51(), **kinetics400()})) as running:
        yield running


def sums(site: Site) -> dict[str, str]:
    return {
        path.removeprefix("/m/"): f"sha256:{hashlib.sha256(content).hexdigest()}"
        for path, content in site.files.items()
    }


def wanted(site: Site, name: str, folder: Path, **options: object) -> Fetch:
    chosen = {"checksums": sums(site), "source": f"{site.address}/m", "patience": SOON, **options}
    return Fetch(name=name, folder=folder, **chosen)


def test_ucf101_is_read_as_it_came(site, tmp_path):
    said = []
    fetch(wanted(site, "ucf101", tmp_path / "ucf", say=said.append))
    dataset = read_dataset(str(tmp_path / "ucf"), home=tmp_path)
    assert len(dataset.manifest) == 6 and dataset.class_names == ("Biking", "YoYo")
    assert dataset.manifest["split_1"].value_counts().to_dict() == {"train": 4, "test": 2}
    assert sorted(path.name for path in (tmp_path / "ucf").iterdir()) == [
        "UCF-101",
        "fetched.json",
        "ucfTrainTestlist",
    ]
    notes = json.loads((tmp_path / "ucf" / "fetched.json").read_text())
    assert notes["UCF101.rar"]["checksum"] == sums(site)["UCF101.rar"]
    assert any(line.startswith("UCF101.rar: 6 files, sha256:") for line in said)
    asked = len(site.requests)
    fetch(wanted(site, "ucf101", tmp_path / "ucf"))
    assert len(site.requests) == asked  # all was done before


def test_hmdb51_unpacks_the_archive_of_each_class(site, tmp_path):
    fetch(wanted(site, "hmdb51", tmp_path / "hmdb"))
    manifest = read_dataset(str(tmp_path / "hmdb"), home=tmp_path).manifest
    assert manifest["label"].value_counts().to_dict() == {"brush_hair": 3, "wave": 3}
    assert published_columns(manifest) == {1: "split_1"}
    assert not list((tmp_path / "hmdb").rglob("*.rar"))


def test_hmdb51_goes_on_after_a_class_whose_archive_could_not_be_unpacked(
    site, tmp_path, monkeypatch
):
    whole = site.files["/m/hmdb51_org.rar"]
    bad = rar_bytes({"wave/x.avi": b"x"}, method=PACKED)
    brush = rar_bytes({f"brush_hair/{n}.avi": b"x" for n in range(3)})
    site.files["/m/hmdb51_org.rar"] = rar_bytes({"brush_hair.rar": brush, "wave.rar": bad})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="needs a tool of the system.*wave.rar"):
        fetch(wanted(site, "hmdb51", tmp_path / "hmdb"))
    shutil.rmtree(tmp_path / "hmdb" / "archives")
    site.files["/m/hmdb51_org.rar"] = whole
    fetch(wanted(site, "hmdb51", tmp_path / "hmdb"))
    assert len(list((tmp_path / "hmdb" / "wave").iterdir())) == 3


def test_a_part_of_kinetics(site, tmp_path):
    fetch(wanted(site, "kinetics400", tmp_path / "k", splits=["train", "val"], parts=1))
    dataset = read_dataset(str(tmp_path / "k"), home=tmp_path)
    assert dataset.manifest["split"].value_counts().to_dict() == {"train": 2, "test": 2}
    assert "4 videos of the lists are not in the folder" in "\n".join(dataset.warnings)
    fetch(wanted(site, "kinetics400", tmp_path / "k", splits=["train"], parts=2))
    assert len(read_dataset(str(tmp_path / "k"), home=tmp_path).manifest) == 6


def test_what_somebody_brought_by_hand_is_not_downloaded(site, tmp_path):
    (tmp_path / "ucf" / "archives").mkdir(parents=True)
    for path, content in ucf101().items():
        (tmp_path / "ucf" / "archives" / path.removeprefix("/m/")).write_bytes(content)
    fetch(wanted(site, "ucf101", tmp_path / "ucf", keep_archives=True))
    assert site.requests == []
    assert len(list((tmp_path / "ucf" / "archives").iterdir())) == 2
    other = wanted(site, "ucf101", tmp_path / "b", checksums={"UCF101.rar": f"md5:{'0' * 32}"})
    shutil.copytree(tmp_path / "ucf" / "archives", tmp_path / "b" / "archives")
    with pytest.raises(UserError, match="has the checksum sha256:5c0d1a53"):
        fetch(other)  # the small files of this test are not the published ones


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "ucf11"}, "one of ucf101, hmdb51, kinetics400"),
        ({"splits": ["val"]}, "no --split: it comes as a whole"),
        ({"name": "kinetics400", "splits": ["valid"]}, "one of train, val, test"),
        ({"parts": 2}, "no --parts: ucf101 comes as a whole"),
        ({"name": "kinetics400", "parts": 2}, "--parts 2 without --split; instead: --split train"),
        ({"name": "kinetics400", "splits": ["val"], "parts": 0}, "is 1 or more"),
        ({"source": "/mnt/mirror"}, "http or https address.*copy them into"),
        ({"source": "file:///etc"}, "http or https address"),
    ],
)
def test_mistakes(site, tmp_path, change, told):
    with pytest.raises(UserError, match=told):
        fetch(wanted(site, **{"name": "ucf101", "folder": tmp_path / "x", **change}))


def test_the_folder_cannot_be_written(site, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="folder to fetch into can be written"):
        fetch(wanted(site, "ucf101", tmp_path / "file" / "x"))


def test_torn_notes_are_told(site, tmp_path):
    (tmp_path / "fetched.json").write_text("{")
    with pytest.raises(UserError, match="fetched.json"):
        fetch(wanted(site, "ucf101", tmp_path))


def test_the_command(site, tmp_path):
    lines = [f"{checksum.removeprefix('sha256:')}  {name}" for name, checksum in sums(site).items()]
    (tmp_path / "sums").write_text("\n".join(lines))
    folder = str(tmp_path / "hmdb")
    arguments = [
        "hmdb51",
        folder,
        "--source",
        f"{site.address}/m",
        "--checksums",
        str(tmp_path / "sums"),
    ]
    done = CliRunner().invoke(app, ["fetch", *arguments])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == f"next: vidclass data index hmdb51:{folder}"
    assert "who may use it for what: https://" in done.output


def test_lists_alone_are_no_data_set_yet(site, tmp_path):
    folder = str(tmp_path / "k")
    arguments = ["fetch", "kinetics400", folder, "--source", f"{site.address}/m"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    told = done.output.splitlines()[-1]
    assert "--split train or --split val or --split test fetches videos, then vidclass" in told
    again = CliRunner().invoke(app, [*arguments, "--split", "val", "--parts", "1"])
    assert again.output.splitlines()[-1] == f"next: vidclass data index kinetics:{folder}"
    assert len(read_dataset(f"kinetics:{folder}", home=tmp_path).manifest)

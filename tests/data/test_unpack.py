"""Archives: those of data sets come out whole, those that would write elsewhere not at all."""

import os
import shutil
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.archives import PACKED, SYMLINK, rar_bytes, tar_bytes, write, zip_bytes
from vidclass.data.fetch.rar import TOOLS
from vidclass.data.fetch.unpack import checked_name, is_archive, unpack
from vidclass.errors import UserError

MEMBERS = {"UCF-101/YoYo/v_YoYo_g01_c01.avi": b"video" * 1000, "UCF-101/empty.avi": b""}
PACKERS = {
    "a.zip": zip_bytes,
    "a.tar": lambda members: tar_bytes(members, packing=""),
    "a.tar.gz": tar_bytes,
    "a.tgz": tar_bytes,
    "a.tar.bz2": lambda members: tar_bytes(members, packing="bz2"),
    "a.tar.xz": lambda members: tar_bytes(members, packing="xz"),
    "a.rar": rar_bytes,
}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", PACKERS)
def test_every_kind_comes_out(tmp_path, name):
    archive = write(tmp_path / name, PACKERS[name](MEMBERS))
    told = []
    files = unpack(archive, tmp_path / "out", lambda done, total: told.append(done))
    assert contents(tmp_path / "out") == MEMBERS
    assert sorted(files) == sorted(tmp_path / "out" / member for member in MEMBERS)
    assert told[-1] == 2 and is_archive(name)


def test_files_of_before_are_replaced_and_others_stay(tmp_path):
    write(tmp_path / "out" / "UCF-101" / "empty.avi", b"old")
    write(tmp_path / "out" / "mine.txt", b"mine")
    write(tmp_path / "out" / ".a.zip.aside" / "half", b"of a killed run")
    unpack(write(tmp_path / "a.zip", zip_bytes(MEMBERS)), tmp_path / "out")
    assert contents(tmp_path / "out") == {**MEMBERS, "mine.txt": b"mine"}


BAD_NAMES = ["/etc/x", "../x", "a/../../x", "C:/x", "c:x", "..\\x", "\\x", "a/" + "n" * 256, "a\tb"]


@pytest.mark.parametrize("bad", BAD_NAMES)
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.rar"])
def test_names_that_lead_elsewhere_are_refused_with_the_whole_archive(tmp_path, name, bad):
    folder = tmp_path / "in" / "out"
    archive = write(tmp_path / name, PACKERS[name]({"good.avi": b"x", bad: b"x"}))
    with pytest.raises(UserError, match=f"{name}: .* nothing of it was unpacked"):
        unpack(archive, folder)
    assert contents(tmp_path / "in") == {} and list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", zip_bytes({"link": b"/etc/passwd"}, mode=SYMLINK)),
        ("a.tar.gz", tar_bytes({"link": b"/etc/passwd"}, kind=tarfile.SYMTYPE)),
        ("a.tar.gz", tar_bytes({"link": b"../../x"}, kind=tarfile.LNKTYPE)),
        ("a.tar.gz", tar_bytes({"pipe": b""}, kind=tarfile.FIFOTYPE)),
        ("a.tar.gz", tar_bytes({"device": b""}, kind=tarfile.CHRTYPE)),
        ("a.rar", rar_bytes({"link": b"/etc/passwd"}, mode=SYMLINK)),
    ],
    ids=["zip symlink", "tar symlink", "tar hard link", "tar pipe", "tar device", "rar symlink"],
)
def test_links_and_devices_are_refused(tmp_path, name, content):
    with pytest.raises(UserError, match="it is a link or a device"):
        unpack(write(tmp_path / name, content), tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_a_link_cannot_be_written_through(tmp_path):
    """A link and then a file below it: refused at the link, so nothing lands where it points."""
    (tmp_path / "elsewhere").mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("d")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("d/escaped.txt"))
    with pytest.raises(UserError, match="'d': it is a link"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", PACKERS)
def test_damaged_archives_are_told(tmp_path, name):
    content = PACKERS[name]({"v.avi": os.urandom(200_000)})
    cut = write(tmp_path / name, content[: len(content) // 2])
    with pytest.raises(UserError, match=f"{name}: .*(it is damaged|fetch it again)"):
        unpack(cut, tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_a_flipped_byte_is_noticed(tmp_path):
    for name in ("a.zip", "a.rar"):
        content = bytearray(PACKERS[name]({"v.avi": b"video" * 1000}))
        content[len(content) // 2 if name == "a.zip" else 200] ^= 0xFF
        with pytest.raises(UserError, match="damaged"):
            unpack(write(tmp_path / name, bytes(content)), tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.rar"])
def test_a_file_that_is_also_a_folder_is_the_fault_of_the_archive(tmp_path, name):
    archive = write(tmp_path / name, PACKERS[name]({"a": b"x", "a/b": b"x"}))
    with pytest.raises(UserError, match="an archive can be unpacked"):
        unpack(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_what_is_no_archive_is_told(tmp_path):
    with pytest.raises(UserError, match="zip, tar or rar.*a.rar: it is none of these"):
        unpack(write(tmp_path / "a.rar", b"<html>not found</html>"), tmp_path / "out")


def test_a_packed_rar_names_the_tools_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    archive = write(tmp_path / "a.rar", rar_bytes({"v.avi": b"x"}, method=PACKED))
    with pytest.raises(UserError, match="none of unrar, unar, 7zz, 7z, bsdtar is installed.*apt"):
        unpack(archive, tmp_path / "out")


def fake_tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_tools_are_tried_in_turn_and_what_comes_out_is_compared(tmp_path, monkeypatch):
    """The first tool fails, the second says all is well and is not, the third is right."""
    tools = tmp_path / "tools"
    fake_tool(tools, "unrar", "echo 'no such version' >&2; exit 3")
    fake_tool(tools, "unar", 'printf wrong > "$5/v.avi"')
    fake_tool(tools, "bsdtar", 'printf right > "$5/v.avi"')
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    for name in ("7zz", "7z"):  # which a machine may have
        monkeypatch.delitem(TOOLS, name)
    packed = rar_bytes({"v.avi": b"right"}, method=PACKED)
    unpack(write(tmp_path / "a.rar", packed), tmp_path / "out")
    assert contents(tmp_path / "out") == {"v.avi": b"right"}
    (tools / "bsdtar").unlink()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(UserError, match="unrar: no such version; unar: v.avi"):
        unpack(tmp_path / "a.rar", tmp_path / "out")


@pytest.mark.skipif(shutil.which("bsdtar") is None, reason="needs bsdtar (libarchive-tools)")
def test_the_command_of_bsdtar(tmp_path, monkeypatch):
    """Members stored as they are, unpacked by the tool as if they were packed."""
    monkeypatch.setattr("vidclass.data.fetch.rar.STORED", None)
    for name in set(TOOLS) - {"bsdtar"}:
        monkeypatch.delitem(TOOLS, name)
    unpack(write(tmp_path / "a.rar", rar_bytes(MEMBERS)), tmp_path / "out")
    assert contents(tmp_path / "out") == MEMBERS


@pytest.mark.skipif(shutil.which("unar") is None, reason="needs unar")
def test_the_command_of_unar(tmp_path, monkeypatch):
    monkeypatch.setattr("vidclass.data.fetch.rar.STORED", None)
    for name in set(TOOLS) - {"unar"}:
        monkeypatch.delitem(TOOLS, name)
    unpack(write(tmp_path / "a.rar", rar_bytes(MEMBERS)), tmp_path / "out")
    assert contents(tmp_path / "out") == MEMBERS


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("abC:/\\. \0\n…~")), max_size=30))
def test_any_name_is_below_the_folder_or_refused(name):
    try:
        path = checked_name(name, Path("a.zip"))
    except UserError:
        return
    below = os.path.normpath(os.path.join("/root/folder", path))
    assert below.startswith("/root/folder/")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(sorted(PACKERS)), st.integers(0, 300))
def test_any_bytes_are_unpacked_or_a_user_error(tmp_path_factory, noise, name, place):
    folder = tmp_path_factory.mktemp("any")
    content = bytearray(PACKERS[name]({"a/b.avi": b"video" * 20}))
    content[place : place + len(noise)] = noise
    archive = write(folder / name, bytes(content))
    try:
        unpack(archive, folder / "out")
    except UserError:
        assert contents(folder / "out") == {}

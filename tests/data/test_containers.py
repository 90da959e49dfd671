"""Container headers, also of files that are not what they claim."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidclass.data.containers import is_avi, missing_bytes


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    head=st.sampled_from(
        [b"", b"\0\0\0\x18ftypisom", b"\x1a\x45\xdf\xa3", b"RIFF\0\0\0\0AVI ", b"\0\0\0\1mdat"]
    ),
    rest=st.binary(max_size=200),
)
def test_any_bytes_give_an_answer(tmp_path, head, rest):
    path = tmp_path / "any"
    path.write_bytes(head + rest)
    assert missing_bytes(path) >= 0
    assert is_avi(path) == head.startswith(b"RIFF")


def test_the_missing_bytes_are_counted(tmp_path, write_video):
    for suffix in ("mp4", "mkv", "mov"):
        path = write_video(tmp_path / f"a.{suffix}")
        data = path.read_bytes()
        assert missing_bytes(path) == 0
        path.write_bytes(data[:-7])
        assert missing_bytes(path) == 7


def test_other_containers_say_nothing(tmp_path, write_video):
    path = write_video(tmp_path / "a.ts")
    path.write_bytes(path.read_bytes()[:-7])
    assert missing_bytes(path) == 0

import io
from pathlib import Path

import av
import decord
import numpy as np
import pytest

from vidclass.data.synthetic import PRESETS
from vidclass.data.synthetic_encode import encode_clip, make_clips
from vidclass.data.synthetic_render import render_clip


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_packets_and_files_have_one_size(preset):
    payloads = [encode_clip(preset, render_clip(preset, 0, index)) for index in range(24)]
    assert len({len(payload) for payload in payloads}) == 1
    for payload in payloads:
        with av.open(io.BytesIO(payload)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        assert [packet.size for packet in packets] == [
            preset.packet_bytes[0],
            *[preset.packet_bytes[1]] * (preset.num_frames - 1),
        ]
        assert all(packet.is_keyframe for packet in packets)


@pytest.mark.parametrize("name", ["default", "hard"])
def test_file_is_h264_and_decord_reads_the_frames_back(name, tmp_path: Path):
    preset = PRESETS[name]
    frames = render_clip(preset, 0, 3)
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_clip(preset, frames))
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    reader = decord.VideoReader(str(path))
    decoded = reader.get_batch(range(len(reader))).asnumpy()
    assert reader.get_avg_fps() == preset.fps
    assert decoded.shape == frames.shape == (preset.num_frames, preset.size, preset.size, 3)
    squared_error = ((decoded.astype(float) - frames) ** 2).mean(axis=(1, 2, 3))
    assert (10 * np.log10(255**2 / squared_error) > 35).all()  # PSNR of every frame in dB
    assert np.abs(decoded.astype(float).mean() - frames.mean()) < 3


def test_making_leaves_only_whole_files(tmp_path: Path):
    preset = PRESETS["smoke"]
    assert make_clips(preset, 0, [(0, "a.mp4"), (5, "b.mp4")], tmp_path) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    assert (tmp_path / "b.mp4").read_bytes() == encode_clip(preset, render_clip(preset, 0, 5))


def test_a_frame_too_large_for_its_packet_is_our_mistake():
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    with pytest.raises(AssertionError, match="does not fit"):
        encode_clip(PRESETS["default"], noise)

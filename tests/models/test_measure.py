import pytest
import torch
from typer.testing import CliRunner

from vidclass.models.__main__ import app
from vidclass.models.measure import measure, measured_text
from vidclass.models.profile import profile

CPU = torch.device("cpu")


def test_every_way_is_timed_and_the_counts_are_those_of_profile() -> None:
    options = {"width": 0.125, "input_size": 32}
    state = torch.random.get_rng_state()
    counted, timings = measure(
        "early_fusion", 5, batch=4, seconds=0.0, device=CPU, **options, window_frames=6
    )
    assert torch.equal(state, torch.random.get_rng_state())
    assert counted == profile("early_fusion", 5, **options, window_frames=6)
    assert [timing.batch for timing in timings] == [1, 4, 4]
    for timing in timings:
        assert timing.runs >= 5 and 0 < timing.p50_ms <= timing.p95_ms
        assert timing.clips_per_second > 0 and timing.peak_mib is None
    # A run of p50 ms makes about batch / p50 clips a second.
    last = timings[1]
    assert last.clips_per_second < 3 * last.batch / last.p50_ms * 1000


def test_a_model_on_kept_features_is_timed_with_and_without_its_backbone() -> None:
    counted, timings = measure(
        "lrcn",
        3,
        batch=2,
        seconds=0.0,
        device=CPU,
        backbone="squeezenet1_1",
        input_size=32,
        size_1=8,
    )
    assert counted.options["weights"] == "none"  # they change no time, and are not downloaded
    whats = [timing.what for timing in timings]
    assert whats[2:] == ["kept features to answers", "a training step on kept features"]
    assert timings[2].p50_ms < timings[1].p50_ms
    text = measured_text("lrcn", counted, timings)
    assert all(what in text for what in whats) and "p95 ms" in text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_accelerator_tells_its_memory() -> None:
    _, timings = measure("early_fusion", 5, batch=4, seconds=0.0, width=0.125, input_size=32)
    assert all(timing.peak_mib and timing.peak_mib > 0 for timing in timings)


def test_the_command_prints_a_table() -> None:
    arguments = ["profile", "single_frame", "--batch", "2", "--classes", "3"]
    options = ["--set", "width=0.125", "--set", "input_size=16"]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exit_code == 0, result.output
    assert "GMACs a clip" in result.output and "2 clips to their answers" in result.output

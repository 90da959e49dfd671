"""How long a model takes on this machine, and what memory: measured, where `profile` counts.

Legend: B clips.
"""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from vidclass.errors import UserError
from vidclass.models.backbones import with_backbone
from vidclass.models.pretrained import NO_WEIGHTS
from vidclass.models.profile import Profile, profile
from vidclass.models.registry import NUM_COLOURS, create_model, model_entry, validate_options

__all__ = ["Timing", "measure", "measured_text"]

WARM_UP = 3
FEWEST_RUNS = 5
BYTES_PER_MIB = 2**20


@dataclass(frozen=True)
class Timing:
    """One way in which the model was run.

    Args:
        what: what was run.
        batch: clips at a time.
        runs: how often.
        p50_ms: median time of a run.
        p95_ms: time that 95 % of the runs stay below.
        clips_per_second: over all runs.
        peak_mib: largest memory of tensors on the device; None on a CPU, which doesn't tell.
    """

    what: str
    batch: int
    runs: int
    p50_ms: float
    p95_ms: float
    clips_per_second: float
    peak_mib: float | None


def measure(
    name: str,
    num_classes: int,
    *,
    batch: int = 8,
    seconds: float = 2.0,
    device: torch.device | None = None,
    **options: Any,
) -> tuple[Profile, list[Timing]]:
    """Return what the model costs, and how fast it runs from the frames of clips to logits.

    Weights are random: they change no time. A model on kept features has its backbone in front, as
    a new video needs it; what an epoch repeats is timed as well.

    Args:
        name: a registered name.
        num_classes: classes (K).
        batch: clips at a time, besides one alone.
        seconds: for which each way is run; five runs at least.
        device: where; by default an accelerator where there is one.
        **options: of the model.

    Raises:
        UserError: for an unknown name, or where the device's memory is too small.
        UserErrors: for every unknown option and wrong value, all at once.
    """
    entry = model_entry(name)
    if "weights" in entry.options.model_fields:
        options = {**options, "weights": NO_WEIGHTS}
    counted = profile(name, num_classes, **options)
    checked = validate_options(name, options)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model(name, num_classes, **options)
        whole = with_backbone(model, entry, checked).to(device)
    size = checked.input_size
    frames = (entry.num_frames(checked), NUM_COLOURS, size, size)
    ways: list[tuple[str, nn.Module, tuple[int, ...], int, bool]] = [
        ("a clip to its answer", whole, frames, 1, False),
        (f"{batch} clips to their answers", whole, frames, batch, False),
    ]
    if whole is not model:
        features = entry.input_shape(checked)
        ways.append(("kept features to answers", model, features, batch, False))
        ways.append(("a training step on kept features", model, features, batch, True))
    else:
        ways.append(("a training step", whole, frames, batch, True))
    with torch.random.fork_rng(devices=[]):  # a caller's random state is his own
        return counted, [_timed(*way, seconds=seconds, device=device) for way in ways]


def _timed(
    what: str,
    model: nn.Module,
    shape: tuple[int, ...],
    batch: int,
    trains: bool,
    *,
    seconds: float,
    device: torch.device,
) -> Timing:
    inputs = torch.randn(batch, *shape, device=device)
    run = _step(model.train(), inputs) if trains else _forward(model.eval(), inputs)
    cuda = device.type == "cuda"
    try:
        if cuda:
            torch.cuda.reset_peak_memory_stats(device)
        for _ in range(WARM_UP):
            run()
        times: list[float] = []
        ends = time.perf_counter() + seconds
        while len(times) < FEWEST_RUNS or time.perf_counter() < ends:
            started = time.perf_counter()
            run()
            if cuda:
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
    except torch.OutOfMemoryError:
        raise UserError(
            "the model and its clips fit into the memory of the device", f"batch {batch}", "less"
        ) from None
    peak = torch.cuda.max_memory_allocated(device) / BYTES_PER_MIB if cuda else None
    p50, p95 = np.quantile(times, [0.5, 0.95]) * 1000
    rate = batch * len(times) / sum(times)
    return Timing(what, batch, len(times), float(p50), float(p95), rate, peak)


def _forward(model: nn.Module, inputs: torch.Tensor) -> Callable[[], None]:
    @torch.no_grad()
    def run() -> None:
        model(inputs)

    return run


def _step(model: nn.Module, inputs: torch.Tensor) -> Callable[[], None]:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(trained, 1e-6)

    def run() -> None:
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()

    return run


def measured_text(name: str, counted: Profile, timings: list[Timing]) -> str:
    """Return what ``vidclass models profile`` prints."""
    cuda = torch.cuda.is_available()
    where = torch.cuda.get_device_name() if cuda else f"{platform.machine()} CPU"
    lines = [
        f"{name} on {where}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        f"parameters        {counted.parameters:,}, of which {counted.trained_parameters:,} are "
        "trained",
        f"GMACs a clip      {counted.gmacs:.4g} (FLOPs are twice that); an epoch repeats "
        f"{counted.step_gmacs:.4g}",
        f"activations       {counted.activation_mib:.4g} MiB a clip in training, counted",
        f"weights           {counted.weight_mib:.4g} MiB",
        f"input             {' x '.join(map(str, counted.input_shape))}",
        "",
        f"{'':34} {'batch':>5} {'runs':>5} {'p50 ms':>9} {'p95 ms':>9} {'clips/s':>9} {'MiB':>9}",
    ]
    for timing in timings:
        peak = "-" if timing.peak_mib is None else f"{timing.peak_mib:.1f}"
        lines.append(
            f"{timing.what:34} {timing.batch:5} {timing.runs:5} {timing.p50_ms:9.2f} "
            f"{timing.p95_ms:9.2f} {timing.clips_per_second:9.1f} {peak:>9}"
        )
    return "\n".join(lines)

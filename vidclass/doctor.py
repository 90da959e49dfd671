"""``vidclass doctor``: does this machine have what a study needs, shown by really doing it.

Every check returns what it saw and, where that is too little, what to do about it. A *fail* stops a
study; a *warn* makes one slower or smaller.
"""

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil
import typer

from vidclass import __version__
from vidclass.cli import run_app
from vidclass.home import home

__all__ = ["Check", "app", "run_doctor"]

Status = Literal["ok", "warn", "fail"]

GIB = 2**30
# Ray keeps its objects in shared memory; the chunks of a store build need about this much.
MIN_SHARED_MEMORY_BYTES = GIB // 2
# The control data with its store, checkpoints and artifacts take about 2 GiB.
MIN_FREE_DISK_BYTES = 1 * GIB
COMFORTABLE_FREE_DISK_BYTES = 10 * GIB

VERSIONED = ("ray", "torch", "torchvision", "optuna", "mlflow", "pandas", "pyarrow", "av", "numpy")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        status: ok, warn (a study runs, slower or smaller) or fail (a study cannot run).
        detail: what was seen, with units.
        remedy: what to do about it; empty where the status is ok.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def check_versions() -> Check:
    """Tell the versions of Python and of the packages that shape results."""
    found, missing = [f"vidclass {__version__}", f"Python {platform.python_version()}"], []
    decord = "decord" if _uses_decord() else "decord2"
    for name in (*VERSIONED, decord):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    detail = ", ".join(found)
    if missing:
        remedy = f"pip install {' '.join(missing)} (or run make study, which installs all)"
        return Check("versions", "fail", f"{detail}; missing: {', '.join(missing)}", remedy)
    return Check("versions", "ok", detail)


def _uses_decord() -> bool:
    """Tell which of the two packages pyproject.toml's marker chooses here."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def check_devices() -> Check:
    """Tell the cores, the memory and the accelerators that a study may use."""
    import torch

    memory_gib = psutil.virtual_memory().total / GIB
    cores = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else 0
    detail = f"{cores or os.cpu_count()} CPU cores, {memory_gib:.1f} GiB memory"
    if not torch.cuda.is_available():
        return Check("devices", "ok", f"{detail}, no GPU: models train on the CPU")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Check("devices", "ok", f"{detail}, GPUs: {', '.join(names)}")


def check_shared_memory(folder: Path = Path("/dev/shm")) -> Check:
    """Tell how much shared memory Ray's object store can have."""
    if not folder.is_dir():
        return Check("shared memory", "ok", "none of its own; Ray uses a temporary folder here")
    free = shutil.disk_usage(folder).free
    detail = f"{free / GIB:.1f} GiB free"
    if free < MIN_SHARED_MEMORY_BYTES:
        remedy = "give the container more (docker run --shm-size=2g); without it Ray uses the disk"
        return Check("shared memory", "warn", detail, remedy)
    return Check("shared memory", "ok", detail)


def check_home() -> Check:
    """Write, rename and read back a file in the home folder, and tell the space that is left."""
    folder = home()
    remedy = "name a writable folder on a local or shared disk: export VIDCLASS_HOME=FOLDER"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as name:
            aside, final = Path(name) / "aside", Path(name) / "final"
            aside.write_bytes(b"vidclass")
            aside.replace(final)
            readable = final.read_bytes() == b"vidclass"
    except OSError as error:
        return Check("home", "fail", f"{folder}: {error.strerror or error}", remedy)
    free = shutil.disk_usage(folder).free
    detail = f"{folder}, {free / GIB:.1f} GiB free"
    if not readable or free < MIN_FREE_DISK_BYTES:
        return Check("home", "fail", detail, f"free some space (vidclass clean), or {remedy}")
    if free < COMFORTABLE_FREE_DISK_BYTES:
        return Check("home", "warn", detail, "enough for a small study; vidclass clean frees space")
    return Check("home", "ok", detail)


def check_ffmpeg() -> Check:
    """Tell whether the ffmpeg program is there; vidclass brings its own decoders."""
    program = shutil.which("ffmpeg")
    if program is None:
        remedy = "only needed to convert odd recordings by hand: install ffmpeg if you want to"
        return Check("ffmpeg", "warn", "not found; vidclass decodes without it", remedy)
    return Check("ffmpeg", "ok", program)


def check_decode(num_frames: int = 12) -> Check:
    """Write a small H.264 file with PyAV and read it with decord: as many frames, as bright."""
    import av
    import decord
    import numpy as np

    brightness_T = np.linspace(40, 200, num_frames)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="vidclass-doctor-") as folder:
        path = str(Path(folder) / "ramp.mp4")
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for brightness in brightness_T:
                image_HWC = np.full((48, 64, 3), brightness, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image_HWC, format="rgb24")))
            container.mux(stream.encode())
        frames_THWC = decord.VideoReader(path, num_threads=1)[:].asnumpy()
    seconds = time.perf_counter() - started
    if len(frames_THWC) != num_frames:
        detail = f"wrote {num_frames} frames, read {len(frames_THWC)}"
        return Check("decode", "fail", detail, "reinstall: pip install --force-reinstall av decord")
    error = float(np.abs(frames_THWC.mean(axis=(1, 2, 3)) - brightness_T).max())
    detail = (
        f"{num_frames} H.264 frames written and read in {seconds:.2f} s, within {error:.1f} of 255"
    )
    if error > 8:
        return Check("decode", "fail", detail, "reinstall: pip install --force-reinstall av decord")
    return Check("decode", "ok", detail)


def check_train_step() -> Check:
    """Take some optimizer steps of a small convolution on the device; the loss has to fall."""
    import torch
    from torch import nn

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(0)
    x_BCHW = torch.randn(16, 3, 32, 32, generator=generator).to(device)
    y_B = (torch.arange(16) % 2).to(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
        ).to(device)
        model(x_BCHW)  # gives the last layer its width
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    started = time.perf_counter()
    for _ in range(8):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x_BCHW), y_B)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    seconds = time.perf_counter() - started
    detail = f"8 steps on {device} in {seconds:.2f} s, loss {losses[0]:.2f} to {losses[-1]:.2f}"
    if losses[-1] < losses[0]:
        return Check("train step", "ok", detail)
    return Check("train step", "fail", detail, "reinstall torch for this machine's CPU or driver")


CHECKS: dict[str, Callable[[], Check]] = {
    "versions": check_versions,
    "devices": check_devices,
    "shared memory": check_shared_memory,
    "home": check_home,
    "ffmpeg": check_ffmpeg,
    "decode": check_decode,
    "train step": check_train_step,
}


def run_doctor() -> list[Check]:
    """Run every check; one that raises is a fail that tells what was raised, and the rest go on."""
    checks = []
    for name, check in CHECKS.items():
        try:
            checks.append(check())
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
            checks.append(Check(name, "fail", detail, "install anew: make clean-env study"))
    return checks


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog="Example: vidclass doctor")
def doctor(
    as_json: bool = typer.Option(False, "--json", help="Print the checks as JSON."),
) -> None:
    """Check versions, devices, shared memory, disk, ffmpeg, a real decode and a real train step.

    Ends with code 1 when a study could not run here.
    """
    checks = run_doctor()
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            typer.echo(f"{check.status:<5} {check.name:<14} {check.detail}")
            if check.remedy:
                typer.echo(f"{'':<20} -> {check.remedy}")
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)


if __name__ == "__main__":
    run_app(app)

"""What the arms cost beside the bare nets of torchvision and timm, and what kept features save.

First every arm trains and evaluates on random clips on the device, in turns with its counterpart of
`_bare_models.py` (the same net as a user would write it with torchvision or timm, fed the same
tensors, channels-last both); the ratio is the median over turns. Arms without a counterpart there
are measured alone, for a shorter time. The temporal shift of `backbone_tsm` is compared with a net
that has none: it shows what the shift costs. `--arms` names some. Aim: 0.95 of the counterpart or
more.

Then one frozen arm (LRCN on ResNet-18) is trained by `fit` on a store of noise: with its backbone
in every epoch, and on kept features, where the first trial also makes them. Aim: from the second
trial on 20 times faster.

On a CPU frames are small and clips few; the JSON says how many. Under 15 minutes on one core.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import _common
import numpy as np
import pandas as pd
import torch
from _bare_models import BACKBONE, BARE, NUM_CLASSES
from torch import nn

Row = dict[str, Any]

AIM, AIM_CACHED = 0.95, 20.0
SECONDS_A_PAIR, SECONDS_ALONE = 8.0, 2.0
FEWEST_TURNS, FEWEST_ALONE = 4, 2  # the first one warms up
LATER_TRIALS = 3


def settings(case: str, size: int) -> dict[str, Any]:
    """Return the options of an arm under test: its defaults, its backbone in every step."""
    from vidclass.models import model_entry

    name = arm_of(case)
    entry = model_entry(name)
    options: dict[str, Any] = {"input_size": size}
    fields = entry.options.model_fields
    options |= {key: value for key, value in entry.quick_options.items() if key == "window_frames"}
    if "backbone" in fields:
        options["backbone"] = BACKBONE
    if "cache_features" in fields and not entry.framewise:
        options |= {"freeze": "full", "dropout": 0.0}
    if "weights" in fields:
        options["weights"] = "none"
    if name == "concat_mlp":
        options["size_1"] = 0  # as its counterpart: classes alone
    smallest = getattr(entry.options, "smallest", (1, 1))
    options["input_size"] = max(size, smallest[1])
    if case not in BARE:
        return options
    if "window_frames" in options:
        options["window_frames"] = max(8, options["window_frames"])
    return {**options, **BARE[case].options}


def arm_of(case: str) -> str:
    """Return the arm whose form ``case`` is."""
    return case.partition(" ")[0]


class Side:
    """One model, its optimizer, and the clips per second of each turn."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        from vidclass.training.precision import to_device

        to_device(model, device)
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
        self.train_rates: list[float] = []
        self.eval_rates: list[float] = []

    def turn(self, clips: torch.Tensor, labels_B: torch.Tensor) -> None:
        """Make one training step and one evaluation, and note their rates."""
        self.model.train()
        started = now(clips.device)
        self.optimizer.zero_grad()
        logits = self.model(clips)
        if logits.ndim == 3:  # an answer a step
            labels_B = labels_B[:, None].expand(-1, logits.shape[1])
        nn.functional.cross_entropy(logits.flatten(0, -2), labels_B.flatten()).backward()
        self.optimizer.step()
        trained = now(clips.device)
        self.model.eval()
        with torch.no_grad():
            self.model(clips)
        done = now(clips.device)
        self.train_rates.append(len(clips) / (trained - started))
        self.eval_rates.append(len(clips) / (done - trained))

    def medians(self) -> tuple[float, float]:
        """Return clips per second in training and evaluation, the first turn left out."""
        return median(self.train_rates[1:]), median(self.eval_rates[1:])


def now(device: torch.device) -> float:
    """Return the time once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure_arm(case: str, size: int, batch: int, device: torch.device, quick: bool) -> Row:
    """Return the rates of an arm and, where it has one, of its counterpart."""
    from vidclass.models import create_model, model_entry, validate_options

    name, options, bare = arm_of(case), settings(case, size), BARE.get(case)
    shape = model_entry(name).input_shape(validate_options(name, options))
    batch = bare.batch or batch if bare else batch
    clips = torch.randn(batch, *shape, device=device)
    if clips.ndim == 5:  # as training gives them: a permuted view of x_BTHWC
        clips = clips.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    labels_B = torch.arange(batch, device=device) % NUM_CLASSES
    ours = Side(create_model(name, NUM_CLASSES, **options), device)
    sides = [ours] if bare is None else [ours, Side(bare.make(shape[0]), device)]
    fewest, seconds = FEWEST_TURNS, SECONDS_A_PAIR
    if bare is None or quick:
        fewest, seconds = FEWEST_ALONE, 0.0 if quick else SECONDS_ALONE
    started, turns = time.perf_counter(), 0
    while turns < fewest or time.perf_counter() - started < seconds:
        for side in sides if turns % 2 else reversed(sides):
            side.turn(clips, labels_B)
        turns += 1
    train, evaluated = ours.medians()
    row: Row = {"arm": case, "input": "x".join(map(str, shape)), "batch": batch, "turns": turns}
    row |= {"train_clips_s": train, "eval_clips_s": evaluated}
    row |= {"train_ratio": None, "eval_ratio": None}
    for bare_side in sides[1:]:
        row["train_ratio"] = _ratio(ours.train_rates, bare_side.train_rates)
        row["eval_ratio"] = _ratio(ours.eval_rates, bare_side.eval_rates)
    return row


def measure_arms(
    cases: Sequence[str], size: int, batch: int, device: torch.device, quick: bool
) -> list[Row]:
    """Return a row of each case; each is told before it begins, since some take a minute."""
    rows: list[Row] = []
    started = time.perf_counter()
    for number, case in enumerate(cases, 1):
        elapsed = time.perf_counter() - started
        print(f"{elapsed:4.0f} s  {number} of {len(cases)}: {case}", end="", flush=True)
        rows.append(measure_arm(case, size, batch, device, quick))
        told = f", {rows[-1]['train_clips_s']:.3g} clips/s in training"
        if rows[-1]["train_ratio"] is not None:
            told += f", {rows[-1]['train_ratio']:.3g} of the bare net"
        print(told, flush=True)
    return rows


def _ratio(ours: list[float], bare: list[float]) -> float:
    """Return the median over turns: the two sides of a turn met the same state of the machine."""
    return median(own / other for own, other in zip(ours[1:], bare[1:], strict=True))


def noise_store(folder: Path, num_videos: int, num_frames: int, size: int) -> Any:
    """Write a frame store of noise and open it."""
    from vidclass.data.frame_store import FrameStore, write_store

    shape = (num_videos, num_frames, size, size, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    folder.mkdir(parents=True)
    (folder / "noise.rgb").write_bytes(frames.tobytes())
    index = pd.DataFrame({"video_id": [f"v{n:04d}" for n in range(num_videos)]})
    index = index.assign(shard="noise.rgb", offset=np.arange(num_videos) * frames[0].nbytes)
    index = index.assign(T=num_frames, H=size, W=size, fps=10.0)
    write_store(folder, index, index[["video_id"]], {})
    return FrameStore.open(folder)


def trial_job(cached: bool, size: int, epochs: int) -> dict[str, Any]:
    """Return the job of one trial of the frozen arm."""
    from vidclass.models import validate_options
    from vidclass.training.config import TrainConfig

    options = {"backbone": BACKBONE, "weights": "none", "input_size": size, "num_frames": 5}
    checked = validate_options("lrcn", {**options, "cache_features": cached})
    return {
        "config": {"model": "lrcn", "options": checked.model_dump()},
        "train": TrainConfig(epochs=epochs, batch_size=8, schedule="constant"),
        "crop": {},
        "geometry": "crop",
    }


def train_once(
    job: dict[str, Any], frames: Any, home: Path, device: torch.device
) -> tuple[float, float]:
    """Train the job as a trial does; return seconds of the whole, and of making features."""
    from vidclass.data.feature_dataset import FeatureDataset, FeatureTransform
    from vidclass.data.sampling import ClipDataset, Window
    from vidclass.data.transforms import BatchTransform
    from vidclass.models import create_model, model_entry
    from vidclass.sweep.features import feature_source_of, features_of
    from vidclass.training.fit import fit

    entry = model_entry("lrcn")
    options = entry.options.model_validate(job["config"]["options"])
    settings = {
        "window": Window(1.0, options.window_frames),
        "positions": entry.frame_positions(options.window_frames, options),
        "input_size": options.input_size,
    }
    table = pd.DataFrame({"video_id": frames.index["video_id"]})
    table = table.assign(label_id=np.arange(len(table)) % NUM_CLASSES, group=table["video_id"])
    tables = table[: len(table) * 3 // 4], table[len(table) * 3 // 4 :]
    started = time.perf_counter()
    source, seconds = feature_source_of(job), 0.0
    pixels = entry.normalisation(options)
    transform: Any = BatchTransform(pixels.mean, pixels.std)
    make: Callable[[pd.DataFrame], Any] = lambda rows: ClipDataset(frames, rows, **settings)  # noqa: E731
    if source is not None:
        features, built = features_of(job, source, frames, home, device)
        seconds, transform = built.seconds, FeatureTransform()
        make = lambda rows: FeatureDataset(frames, features, rows, **settings)  # noqa: E731
    fit(
        create_model("lrcn", NUM_CLASSES, **job["config"]["options"]),
        make(tables[0]),
        make(tables[1]),
        job["train"],
        num_classes=NUM_CLASSES,
        transform=transform,
        device=device,
        seed=0,
        report=lambda told: False,
    )
    return time.perf_counter() - started, seconds


def measure_features(size: int, videos: int, epochs: int, device: torch.device) -> dict[str, Any]:
    """Return seconds of a trial through the backbone, of the first on features, and of the next."""
    job = partial(trial_job, size=size, epochs=epochs)
    with _common.scratch() as folder:
        frames = noise_store(folder / "frames", videos, 20, size)
        home = folder / "home"
        train_once(trial_job(True, size, 1), frames, folder / "warm", device)
        print("a frozen arm, its backbone in every epoch:", end=" ", flush=True)
        whole, _ = train_once(job(False), frames, home, device)
        print(f"{whole:.3g} s; then on kept features", flush=True)
        first, making = train_once(job(True), frames, home, device)
        later = [train_once(job(True), frames, home, device)[0] for _ in range(LATER_TRIALS)]
        print(f"the first trial {first:.3g} s, the next {median(later):.3g} s\n", flush=True)
    return {
        "videos": videos,
        "frames_a_video": 20,
        "input_size": size,
        "epochs": epochs,
        "through_backbone_s": whole,
        "first_on_features_s": first,
        "of_it_making_features_s": making,
        "later_on_features_s": median(later),
        "later_times_faster": whole / median(later),
    }


def main() -> None:
    """Measure all arms and write the result."""
    parser = _common.arguments(__doc__)
    parser.add_argument("--arms", help="names of arms, as in a shell; all if none", default="*")
    options = parser.parse_args()
    from vidclass.models import list_models

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    small = options.quick or device.type == "cpu"
    torch.set_num_threads(1)
    size, batch = (64, 4) if small else (224, 16)
    arms = list_models(options.arms)
    cases = sorted({*arms, *(case for case in BARE if arm_of(case) in arms)})
    rows = measure_arms(cases, size, batch, device, options.quick)
    _common.print_table(rows)
    videos, epochs = (24, 2) if options.quick else (64, 8)
    cached = measure_features(112 if not options.quick else 32, videos, epochs, device)
    _common.print_table([cached])
    aims = [
        _common.against_aim(f"{row['arm']}: {what} rate of the bare net", row[f"{what}_ratio"], AIM)
        for row in rows
        for what in ("train", "eval")
        if row[f"{what}_ratio"] is not None
    ]
    aims.append(
        _common.against_aim(
            "frozen trial on kept features, from the second on",
            cached["later_times_faster"],
            AIM_CACHED,
            unit="times",
        )
    )
    _common.finish("models", quick=options.quick, aims=aims, arms=rows, features=cached)


if __name__ == "__main__":
    main()

"""CPU milliseconds a clip that each augmentation costs, beside Kornia's where that is installed.

One thread, batches as training has them: clips of 10 frames at 32 and 112 pixels, uint8 in, uint8
out. Processor time is measured, not the clock's, so that other work on the machine matters less.
Kornia (`pip install kornia`) is given the same strengths in one `VideoSequential` with
`same_on_frame`; it takes and returns floats, which is part of its cost.
"""

import _common  # noqa: I001
import time
from collections.abc import Callable
from typing import Any

import torch

from vidclass.data.augment import Augment
from vidclass.data.transforms import BatchTransform

CLASSES = tuple("abcdef")
SIZES = ((32, 64), (112, 16))  # pixels, clips of a batch
NUM_FRAMES = 10
REPEATS = 9
CASES = {
    "nothing": {},
    "flip": {"flip": True},
    "crop_padding": {"crop_padding": 3},
    "resized_crop": {"resized_crop": 0.3},
    "vertical_flip": {"vertical_flip": True},
    "shift, rotation, shear, zoom": {
        "shift": 0.1,
        "rotation_degrees": 15,
        "shear_degrees": 5,
        "zoom": 0.2,
    },
    "brightness, contrast, saturation": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
    "hue": {"hue": 0.1},
    "randaugment": {"randaugment_ops": 2},
    "erasing": {"erasing": 1.0},
    "mixup": {"mixup_alpha": 0.4},
    "cutmix": {"cutmix_alpha": 1.0},
}


def cpu_ms(step: Callable[[], object], clips: int) -> float:
    """Return the smallest processor time of a step in milliseconds a clip."""
    step()
    best = float("inf")
    for _ in range(REPEATS):
        started = time.process_time()
        step()
        best = min(best, time.process_time() - started)
    return 1000 * best / clips


def kornia_steps(size: int) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Return Kornia's counterparts by the name of the case; none without Kornia."""
    try:
        import kornia.augmentation as K  # noqa: N812 - its own abbreviation
    except ImportError:
        return {}
    parts = {
        "flip": K.RandomHorizontalFlip(0.5),
        "vertical_flip": K.RandomVerticalFlip(0.5),
        "resized_crop": K.RandomResizedCrop((size, size), (0.3, 1.0), (0.75, 4 / 3), p=1.0),
        "shift, rotation, shear, zoom": K.RandomAffine(15.0, (0.1, 0.1), (0.8, 1.2), 5.0, p=1.0),
        "brightness, contrast, saturation": K.ColorJitter(0.2, 0.2, 0.2, 0.0, p=1.0),
        "hue": K.ColorJitter(0.0, 0.0, 0.0, 0.1, p=1.0),
        "erasing": K.RandomErasing((0.02, 0.33), p=1.0),
    }

    def step(part: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        sequence = K.VideoSequential(part, data_format="BTCHW", same_on_frame=True)

        def run(x_BTHWC: torch.Tensor) -> torch.Tensor:
            x_BTCHW = x_BTHWC.permute(0, 1, 4, 2, 3).float().div(255)
            return sequence(x_BTCHW).mul(255)

        return run

    return {name: step(part) for name, part in parts.items()}


def measured(size: int, clips: int) -> list[dict[str, Any]]:
    """Return a row for each case, with clips of ``size`` pixels."""
    x_BTHWC = torch.randint(0, 256, (clips, NUM_FRAMES, size, size, 3), dtype=torch.uint8)
    y_B = torch.arange(clips) % len(CLASSES)
    generator = torch.Generator().manual_seed(0)
    others = kornia_steps(size)

    def row(name: str, step: Callable[[], object]) -> dict[str, Any]:
        other = others.get(name)
        theirs = cpu_ms(lambda: other(x_BTHWC), clips) if other else None
        ours = cpu_ms(step, clips)
        return {"pixels": size, "augmentation": name, "ms": ours, "kornia_ms": theirs}

    def case(name: str, fields: dict[str, Any]) -> dict[str, Any]:
        transform = BatchTransform((128.0,) * 3, (64.0,) * 3, Augment(**fields), CLASSES)
        return row(name, lambda: transform.training(x_BTHWC, y_B, generator))

    plain = BatchTransform((128.0,) * 3, (64.0,) * 3)
    evaluation = row("evaluation", lambda: plain(x_BTHWC, train=False))
    return [evaluation, *(case(name, fields) for name, fields in CASES.items())]


def main() -> None:
    """Measure all cases at both sizes and write the result."""
    options = _common.arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    sizes = [(32, 4)] if options.quick else SIZES
    rows = [row for size, clips in sizes for row in measured(size, clips)]
    _common.print_table(rows)
    cost = {(row["pixels"], row["augmentation"]): row["ms"] for row in rows}
    largest = sizes[-1][0]
    ratio = cost[largest, "nothing"] / cost[largest, "evaluation"]
    what = "training without augmentation against evaluation, processor time"
    _common.finish(
        "augment",
        quick=options.quick,
        aims=[_common.against_aim(what, ratio, 1.1, at_most=True, unit="times")],
        num_frames=NUM_FRAMES,
        cases=rows,
    )


if __name__ == "__main__":
    main()

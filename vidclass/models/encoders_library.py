"""Encoders trained without labels, of transformers: VideoMAE, V-JEPA 2, DINOv2, DINOv3.

An encoder is a folder as its publisher has it: ``config.json`` and ``model.safetensors``. It lies
in HOME/weights under its name on the hub, is downloaded there once, or is named by its path.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from vidclass.errors import UserError
from vidclass.home import write_aside
from vidclass.models.pretrained import NO_WEIGHTS, file_hash, weights_folder
from vidclass.models.registry import Normalisation

__all__ = [
    "CONFIG",
    "ENCODERS",
    "PUBLISHED_FOLDER",
    "STATE",
    "EncoderFacts",
    "Kind",
    "encoder_facts",
    "encoder_folder",
    "encoder_hash",
]

PUBLISHED_FOLDER = "published"
CONFIG, STATE = "config.json", "model.safetensors"
Kind = Literal["clips", "frames"]

# Types of transformers, and what each takes.
KINDS: dict[str, Kind] = {
    "videomae": "clips",
    "vjepa2": "clips",
    "dinov2": "frames",
    "dinov2_with_registers": "frames",
    "dinov3_vit": "frames",
}
IMAGENET = Normalisation(
    (255 * 0.485, 255 * 0.456, 255 * 0.406), (255 * 0.229, 255 * 0.224, 255 * 0.225)
)
"""All of them were trained on frames that were normalised so."""

_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
_DINO = {"patch_size": 14, "image_size": 518}
ENCODERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "MCG-NJU/videomae-base": ("videomae", {**_BASE, "use_mean_pooling": False}, "CC-BY-NC-4.0"),
    "MCG-NJU/videomae-large": (
        "videomae",
        {**_LARGE, "intermediate_size": 4096, "use_mean_pooling": False},
        "CC-BY-NC-4.0",
    ),
    "facebook/vjepa2-vitl-fpc64-256": ("vjepa2", _LARGE, "MIT"),
    "facebook/vjepa2-vith-fpc64-256": (
        "vjepa2",
        {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16},
        "MIT",
    ),
    "facebook/dinov2-small": (
        "dinov2",
        {**_DINO, "hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6},
        "Apache-2.0",
    ),
    "facebook/dinov2-base": ("dinov2", {**_DINO, **_BASE}, "Apache-2.0"),
    "facebook/dinov2-large": ("dinov2", {**_DINO, **_LARGE}, "Apache-2.0"),
}
"""Names on the hub to type, sizes and licence: known without a file, so that costs can be told."""


@dataclass(frozen=True)
class EncoderFacts:
    """What is known of an encoder before it is built.

    Args:
        name: a name on the hub, or the path of a folder.
        model_type: as transformers calls it.
        config: its fields that differ from the defaults of that type.
        licence: of its weights, where it is known.
    """

    name: str
    model_type: str
    config: Mapping[str, Any] = field(hash=False)
    licence: str = "not told"

    @property
    def kind(self) -> Kind:
        """Whether it takes clips, or single frames."""
        return KINDS[self.model_type]

    @property
    def width(self) -> int:
        """Units of a token (D)."""
        default = 384 if self.model_type == "dinov3_vit" else 768
        return int(self.config.get("hidden_size", 1024 if self.model_type == "vjepa2" else default))

    @property
    def patch(self) -> int:
        """Pixels that a token spans in height and width."""
        return int(self.config.get("patch_size", 14 if self.model_type == "dinov2" else 16))

    @property
    def tubelet(self) -> int:
        """Frames that a token spans."""
        return int(self.config.get("tubelet_size", 2)) if self.kind == "clips" else 1

    @property
    def num_frames(self) -> int:
        """Frames of the clips that it was trained on."""
        if self.kind == "frames":
            return 1
        if self.model_type == "vjepa2":
            return int(self.config.get("frames_per_clip", 64))
        return int(self.config.get("num_frames", 16))

    @property
    def input_size(self) -> int:
        """Height and width of the frames that its weights are used with."""
        if self.model_type == "vjepa2":
            return int(self.config.get("crop_size", 256))
        size = int(self.config.get("image_size", 224))
        return 224 if size == _DINO["image_size"] else size

    @property
    def fixed_size(self) -> bool:
        """Whether its weights are for one size and length: its table of positions is."""
        return self.model_type == "videomae"


def encoder_facts(name: str) -> EncoderFacts:
    """Return what is known of an encoder: from its folder where that is there, else from a table.

    Raises:
        UserError: for a name that is neither, or a folder of another kind of net.
    """
    folder = _local(name)
    if folder is not None:
        return _facts_of_folder(name, folder)
    if name in ENCODERS:
        model_type, config, licence = ENCODERS[name]
        return EncoderFacts(name, model_type, config, licence)
    raise UserError(
        "an encoder is the name of a published one, or a folder with its config.json",
        name,
        f"one of {', '.join(ENCODERS)}; or an absolute path; or put {CONFIG} and {STATE} in "
        f"{weights_folder() / name}",
    )


def _facts_of_folder(name: str, folder: Path) -> EncoderFacts:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        model_type = config.pop("model_type")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(
            "the config.json of an encoder is a mapping with its model_type",
            f"{folder / CONFIG}: {type(error).__name__}: {error}",
            "the file as it is published, unchanged",
        ) from None
    if model_type not in KINDS:
        raise UserError(
            f"an encoder is one of the types {', '.join(KINDS)}",
            f"{folder}: {model_type}",
            "the folder of one of these; image nets are `backbone`s of other arms",
        )
    licence = ENCODERS[name][2] if name in ENCODERS else "not told"
    return EncoderFacts(name, model_type, config, licence)


def _local(name: str) -> Path | None:
    """Return the folder of an encoder that is on this machine."""
    path = Path(name).expanduser()
    for candidate in (path,) if path.is_absolute() else (weights_folder() / path, path):
        if (candidate / CONFIG).is_file():
            return candidate.resolve()
    return None


def encoder_folder(name: str) -> Path:
    """Return the folder with the weights of an encoder, downloaded if need be.

    Raises:
        UserError: when it is not there and there is no network; it names the files to put there.
    """
    folder = _local(name)
    if folder is not None and (folder / STATE).is_file():
        return folder
    wanted = folder or weights_folder() / name
    if name not in ENCODERS:
        raise UserError(
            f"the folder of an encoder holds {CONFIG} and {STATE}",
            f"{wanted} has no {STATE}",
            "save_pretrained(FOLDER) of transformers writes both",
        )
    wanted.mkdir(parents=True, exist_ok=True)
    with FileLock(wanted / ".lock"):
        for file in (CONFIG, STATE):
            if not (wanted / file).is_file():  # another process may have been first
                _download(name, wanted / file)
    return wanted.resolve()


def _download(name: str, path: Path) -> None:
    try:
        from huggingface_hub import hf_hub_download

        with write_aside(path) as aside:
            aside.write_bytes(Path(hf_hub_download(name, path.name)).read_bytes())
    except Exception as error:  # noqa: BLE001 - network, proxy, hub: each has its own kinds
        told = str(error).strip().splitlines()
        raise UserError(
            f"weights: {PUBLISHED_FOLDER} of {name} are downloaded once from its repository on the "
            "hub",
            f"{type(error).__name__}: {told[0][:160] if told else ''}",
            f"on a machine with a network fetch its {CONFIG} and {STATE} and put both in "
            f"{path.parent}; or encoder: FOLDER, or weights: none",
        ) from error


def encoder_hash(name: str, weights: str) -> str:
    """Return the SHA-256 of the weights of an encoder, ``none`` where there are none.

    Raises:
        UserError: see :func:`encoder_folder`.
    """
    return NO_WEIGHTS if weights == NO_WEIGHTS else file_hash(encoder_folder(name) / STATE)

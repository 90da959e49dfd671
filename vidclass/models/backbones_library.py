"""Image nets of torchvision and timm by name: their facts, and the nets without a classifier.

``resnet50`` is looked for in torchvision first, then in timm; ``timm:resnet50`` names the library.

Legend: b frames, C channels, H height, W width, N tokens, D features.
"""

import difflib
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import nn

from vidclass.errors import UserError
from vidclass.models.registry import Normalisation

__all__ = [
    "BackboneFacts",
    "Pooling",
    "backbone_facts",
    "build_trunk",
    "num_features",
    "pool",
]

Library = Literal["torchvision", "timm"]
Pooling = Literal["avg", "max"]

ALIASES = {
    "xception": "timm:legacy_xception",
    "mobilenetv2": "torchvision:mobilenet_v2",
    "inceptionv3": "torchvision:inception_v3",
}
"""Names that papers and other frameworks use."""

# Where a torchvision net's classifier begins, and what stands beside its way from frame to map.
CLASSIFIERS = frozenset({"avgpool", "classifier", "dropout", "fc", "flatten", "head", "heads"})
ASIDE = frozenset({"AuxLogits", "aux1", "aux2"})
# With weights these two rescale ImageNet's normalisation to this one, inside their first line.
RESCALING = frozenset({"googlenet", "inception_v3"})
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class BackboneFacts:
    """What is known of a backbone before it is built.

    Args:
        library: where it comes from.
        name: its name there.
        input_size: height and width of the frames that its weights were trained on.
        fixed_size: whether it has to be built for one size of frames.
        normalisation: of the frames that its weights were trained on.
        classifiers: beginnings of the keys of its classifier in a file of weights.
        file: name of the file of its published weights.
        url: where that file is, for torchvision.
        hub: repository of that file, for timm.
        licence: of the weights, where the library tells it.
    """

    library: Library
    name: str
    input_size: int
    fixed_size: bool
    normalisation: Normalisation
    classifiers: tuple[str, ...]
    file: str | None
    url: str | None
    hub: str | None
    licence: str


@lru_cache(maxsize=64)
def backbone_facts(name: str) -> BackboneFacts:
    """Return what is known of the backbone ``name``.

    Raises:
        UserError: when neither library has it, or timm, which would, is not installed.
    """
    plain = ALIASES.get(name.lower(), name)
    library, colon, inner = plain.partition(":")
    if not colon:
        inner = plain
    if library != "timm" and inner in _torchvision_names():
        return _torchvision_facts(inner)
    timm = _timm()
    if timm is not None and library != "torchvision" and timm.is_model(inner):
        facts = _timm_facts(timm, inner)
        if facts is not None:
            return facts
    known = [*_torchvision_names(), *(timm.list_models() if timm is not None else [])]
    close = difflib.get_close_matches(inner, known, n=3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    if timm is None:
        hint += "`pip install 'vidclass[models]'` brings timm's nets; "
    raise UserError(
        "a backbone is an image net of torchvision or timm",
        name,
        f"{hint}for example resnet50, mobilenet_v2 or timm:vit_tiny_patch16_224",
    )


@lru_cache(maxsize=1)
def _torchvision_names() -> tuple[str, ...]:
    from torchvision import models

    return tuple(models.list_models(module=models))


@lru_cache(maxsize=1)
def _timm() -> Any:
    """Return timm, or None where it is not installed (extra ``models``)."""
    try:
        import timm
    except ImportError:
        return None
    return timm


def _torchvision_facts(name: str) -> BackboneFacts:
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    mean, std = (HALF, HALF) if name in RESCALING else (preset.mean, preset.std)
    return BackboneFacts(
        library="torchvision",
        name=name,
        input_size=preset.crop_size[0],
        fixed_size=name.startswith(("vit_", "maxvit")),
        normalisation=_on_bytes(mean, std),
        classifiers=tuple(f"{part}." for part in sorted(CLASSIFIERS | ASIDE)),
        file=weights.url.rsplit("/", 1)[-1],
        url=weights.url,
        hub=None,
        licence="BSD-3-Clause",
    )


def _timm_facts(timm: Any, name: str) -> BackboneFacts | None:
    config = timm.get_pretrained_cfg(name)
    if config is None:
        return None
    heads = config.classifier or ()
    heads = (heads,) if isinstance(heads, str) else heads
    return BackboneFacts(
        library="timm",
        name=name,
        input_size=config.input_size[-1],
        fixed_size=config.fixed_input_size,
        normalisation=_on_bytes(config.mean, config.std),
        classifiers=tuple(f"{head}." for head in heads),
        file=_timm_file(name, config),
        url=config.url if isinstance(config.url, str) else None,
        hub=config.hf_hub_id,
        licence=config.license or "not told",
    )


def _timm_file(name: str, config: Any) -> str | None:
    if not config.has_weights:
        return None
    suffix = "safetensors" if config.hf_hub_id else "pth"
    return f"{name.partition('.')[0]}.{config.tag}.{suffix}"


def _on_bytes(mean: Any, std: Any) -> Normalisation:
    """Return a normalisation of pixels of 0..1 as one of pixels of 0..255."""
    scaled = [tuple(255.0 * float(value) for value in values) for values in (mean, std)]
    return Normalisation(*scaled)  # type: ignore[arg-type] # three colours each


def build_trunk(name: str, input_size: int) -> nn.Module:
    """Return the net without its classifier, at its own random start: frames to its last map.

    Its state has the keys of the library's own net. The map is ``x_bCHW``, ``x_bHWC`` or tokens
    ``x_bND``; :func:`pool` knows which.

    Raises:
        UserError: when there is no such net, or it can't be built for that size.
    """
    facts = backbone_facts(name)
    build = _torchvision_trunk if facts.library == "torchvision" else _timm_trunk
    device = torch.get_default_device()
    try:
        return build(facts, input_size)
    except NotImplementedError:  # a few compute their widths with tensors, which meta can't tell
        with torch.device("cpu"):
            return build(facts, input_size).to(device)
    except (AssertionError, ValueError, RuntimeError, TypeError) as error:
        raise _size_error(facts, input_size, error) from error


def _torchvision_trunk(facts: BackboneFacts, input_size: int) -> nn.Module:
    from torchvision import models

    settings: dict[str, Any] = {}
    if facts.name in RESCALING:
        settings["init_weights"] = False  # its own start takes minutes
    if facts.name.startswith("vit_"):
        settings["image_size"] = input_size
    elif facts.fixed_size:
        settings["input_size"] = (input_size, input_size)
    net = models.get_model(facts.name, weights=None, **settings)
    if facts.name.startswith("vit_"):
        return VisionTokens(net)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for child_name, child in net.named_children():
        if child_name in CLASSIFIERS:
            break
        if child_name not in ASIDE:
            parts[child_name] = nn.Sequential(*child) if isinstance(child, nn.ModuleList) else child
    if facts.name.startswith("densenet"):
        parts["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)


class VisionTokens(nn.Module):
    """torchvision's vision transformer without its classifier: ``x_bCHW`` to tokens ``x_bND``."""

    num_prefix_tokens = 1

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.conv_proj = net.conv_proj
        self.class_token = net.class_token
        self.encoder = net.encoder

    def forward(self, x_bCHW: torch.Tensor) -> torch.Tensor:
        """Return the class token and those of the patches."""
        patches_bND = self.conv_proj(x_bCHW).flatten(2).transpose(1, 2)
        first_b1D = self.class_token.expand(patches_bND.shape[0], -1, -1)
        tokens_bND: torch.Tensor = self.encoder(torch.cat([first_b1D, patches_bND], dim=1))
        return tokens_bND


def _timm_trunk(facts: BackboneFacts, input_size: int) -> nn.Module:
    settings = {"img_size": input_size} if facts.fixed_size else {}
    with _quiet():
        net: nn.Module = _timm().create_model(
            facts.name, pretrained=False, num_classes=0, global_pool="", **settings
        )
    return net


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep a library's notices about its own names to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pool(maps: torch.Tensor, net: nn.Module, pooling: Pooling) -> torch.Tensor:
    """Return ``f_bD`` of the last map or tokens of ``net``; prefix tokens are left out."""
    axes: tuple[int, ...] = ()
    if maps.ndim == 4:
        axes = (1, 2) if str(getattr(net, "output_fmt", "NCHW")).endswith("NHWC") else (2, 3)
    elif maps.ndim == 3:
        axes = (1,)
        maps = maps[:, int(getattr(net, "num_prefix_tokens", 0)) :]
    if not axes:
        return maps
    return maps.mean(axes) if pooling == "avg" else maps.amax(axes)


@lru_cache(maxsize=256)
def num_features(name: str, input_size: int) -> int:
    """Return the length of the vector (D) that the backbone makes of a frame of that size.

    Found out on the meta device, where nothing is computed.

    Raises:
        UserError: when there is no such net, or frames of that size are too small for it.
    """
    facts = backbone_facts(name)
    with torch.device("meta"):
        net = build_trunk(name, input_size).eval()
        try:
            maps = net(torch.empty(1, 3, input_size, input_size))
        except (AssertionError, ValueError, RuntimeError) as error:
            raise _size_error(facts, input_size, error) from error
    if 0 in maps.shape:
        raise _size_error(facts, input_size, "its last map is empty")
    return int(pool(maps, net, "avg").shape[1])


def _size_error(facts: BackboneFacts, input_size: int, error: object) -> UserError:
    said = str(error).strip().splitlines()
    return UserError(
        f"frames have a size that the backbone {facts.name} can take",
        f"input_size {input_size}: {said[0][:120] if said else type(error).__name__}",
        f"input_size: {facts.input_size}, which its weights were trained on",
    )

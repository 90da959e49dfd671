"""Published weights of torchvision's video nets: which file, for which clips.

Legend: C channels.
"""

from functools import lru_cache

from torch import nn

from vidclass.models.backbones_library import BackboneFacts
from vidclass.models.pretrained import load_state, read_state, weights_file
from vidclass.models.registry import Colours, Normalisation

__all__ = ["KINETICS", "load_video_weights", "video_facts"]

KINETICS = "kinetics"
CLASSIFIERS = ("fc.", "head.", "classifier.")


@lru_cache(maxsize=16)
def video_facts(name: str) -> BackboneFacts:
    """Return what is known of the video net ``name`` of torchvision and of its weights."""
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    return BackboneFacts(
        library="torchvision",
        name=name,
        input_size=preset.crop_size[0],
        fixed_size=name.startswith("mvit"),
        normalisation=Normalisation(_on_bytes(preset.mean), _on_bytes(preset.std)),
        classifiers=CLASSIFIERS,
        file=weights.url.rsplit("/", 1)[-1],
        url=weights.url,
        hub=None,
        licence="BSD-3-Clause",
    )


def _on_bytes(shares: list[float]) -> Colours:
    red, green, blue = (255.0 * share for share in shares)
    return red, green, blue


def load_video_weights(net: nn.Module, name: str, weights: str) -> None:
    """Put the weights of a file, its classifier left out, into a video net of torchvision's.

    Args:
        net: changed in place.
        name: the net's name in torchvision.
        weights: ``kinetics`` for the published file, or a file.

    Raises:
        UserError: when there is no such file, or no network to fetch it.
        UserErrors: naming missing keys, extra keys and wrong shapes.
    """
    path = weights_file(video_facts(name), weights, KINETICS)
    load_state(net, read_state(path), source=str(path), without=CLASSIFIERS)

"""A trained model put together again from its weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from vidclass.errors import UserError
from vidclass.models.backbones import with_backbone
from vidclass.models.pretrained import skip_pretrained
from vidclass.models.registry import PoseSource, create_model, model_entry, validate_options

__all__ = ["as_trained", "trained_model"]


def as_trained(
    name: str, num_classes: int, options: Mapping[str, Any], weights: Mapping[str, torch.Tensor]
) -> nn.Module:
    """Return a model as it was trained, in evaluation mode: it takes clips, features or poses.

    Args:
        name: a registered name.
        num_classes: classes (K).
        options: of the model.
        weights: its state.

    Raises:
        UserError: when no model has that name.
        UserErrors: when the options are wrong.
    """
    with skip_pretrained():
        model = create_model(name, num_classes, **options)
    model.load_state_dict(weights)
    return model.eval()


def trained_model(
    name: str, num_classes: int, options: Mapping[str, Any], weights: Mapping[str, torch.Tensor]
) -> nn.Module:
    """Return a model that takes clips, in evaluation mode.

    One that was trained on features gets their backbone in front, whose weights are read from the
    file of its options; all other files are not needed any more.

    Args:
        name: a registered name.
        num_classes: classes (K).
        options: of the model.
        weights: its state.

    Raises:
        UserError: when no model has that name, the backbone's file is gone, or the model takes
            poses: there is no way from a video to those here.
        UserErrors: when the options are wrong.
    """
    entry, checked = model_entry(name), validate_options(name, options)
    if isinstance(entry.features(checked), PoseSource):
        raise UserError(
            "a model that is used on videos takes frames",
            f"{name} takes poses",
            "create_model, load its weights, and give it vidclass.data.poses.read_pose",
        )
    return with_backbone(as_trained(name, num_classes, options, weights), entry, checked).eval()

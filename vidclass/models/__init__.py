"""Models by name: ``create_model``, ``list_models``, ``model_entry`` and ``register_model``.

A model maps clips ``x_BTCHW``, or the features ``f_BTD`` of their frames, to ``logits_BK``.
"""

from vidclass.models import (  # noqa: F401 - each registers models that come with vidclass
    autoencoder,
    capsule,
    conv3d,
    convlstm,
    encoders,
    framewise,
    fusion,
    fusion_backbone,
    fusion_i3d,
    i3d,
    inflate,
    masked,
    pose,
    recurrent,
    residual_ladder,
    small_cnn,
    temporal,
    video_transformers,
)
from vidclass.models.registry import (
    FeatureSource,
    ModelEntry,
    ModelOptions,
    Normalisation,
    PoseSource,
    Pretrains,
    check_clips,
    check_features,
    create_model,
    list_models,
    model_entry,
    register_model,
    validate_options,
)

__all__ = [
    "FeatureSource",
    "ModelEntry",
    "ModelOptions",
    "Normalisation",
    "PoseSource",
    "Pretrains",
    "check_clips",
    "check_features",
    "create_model",
    "list_models",
    "model_entry",
    "register_model",
    "validate_options",
]

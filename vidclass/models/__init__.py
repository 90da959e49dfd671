"""Models by name: ``create_model``, ``list_models``, ``model_entry`` and ``register_model``.

A model maps clips ``x_BTCHW`` to ``logits_BK``.
"""

from vidclass.models import fusion  # noqa: F401 - registers the models that come with vidclass
from vidclass.models.registry import (
    ModelEntry,
    ModelOptions,
    check_clips,
    create_model,
    list_models,
    model_entry,
    register_model,
    validate_options,
)

__all__ = [
    "ModelEntry",
    "ModelOptions",
    "check_clips",
    "create_model",
    "list_models",
    "model_entry",
    "register_model",
    "validate_options",
]

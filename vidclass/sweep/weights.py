"""Trained weights that a study begins with: fetched and tried before anything is started."""

from pydantic import ValidationError

from vidclass.errors import UserError, UserErrors, raise_collected
from vidclass.models import create_model, model_entry
from vidclass.models.backbones import frozen_backbone, with_backbone
from vidclass.models.pretrained import NO_WEIGHTS
from vidclass.sweep.features import floor_source_of
from vidclass.sweep.load import corners, trial_config
from vidclass.sweep.mistakes import told
from vidclass.sweep.spec import StudySpec

__all__ = ["check_weights"]


def check_weights(spec: StudySpec) -> None:
    """Put the weights that ``spec`` names into the models that they are for.

    What a library publishes is downloaded here, so that no trial has to wait for it or fails.

    Raises:
        UserErrors: for files that are not there, can't be downloaded or don't fit, all at once.
    """
    mistakes: list[UserError] = []
    tried: set[tuple[str, ...]] = set()
    for arm in spec.arms:
        entry = model_entry(arm.model)
        for corner in corners(arm):
            options = trial_config(spec, arm, corner)["options"]
            weights = options.get("weights") or NO_WEIGHTS
            net = options.get("backbone") or options.get("encoder")
            one = (arm.model, str(net), str(weights))
            if weights == NO_WEIGHTS or one in tried:
                continue
            tried.add(one)
            try:
                model = create_model(arm.model, 2, **options)
                with_backbone(model, entry, entry.options.model_validate(options))
            except UserError as error:
                mistakes.append(error)
            except UserErrors as errors:
                mistakes += errors.errors
    try:
        source = floor_source_of(spec.floors, spec.data.input_size)
        if source is not None:
            frozen_backbone(source)
    except ValidationError as error:
        mistakes += told(error, {}, "floors")
    except UserError as error:
        mistakes.append(error)
    except UserErrors as errors:
        mistakes += errors.errors
    raise_collected(mistakes)

"""What a trial's model costs, counted once for each model, options and number of classes."""

import json
from functools import lru_cache
from typing import Any

from vidclass.errors import UserError, UserErrors
from vidclass.tracking.runs import Cost

__all__ = ["cost_of"]


def cost_of(config: dict[str, Any], num_classes: int) -> Cost | None:
    """Return the cost of the model in ``config``; None when it is not registered here."""
    return _cost(config["model"], num_classes, json.dumps(config["options"], sort_keys=True))


@lru_cache(maxsize=256)
def _cost(model: str, num_classes: int, options: str) -> Cost | None:
    from vidclass.models.profile import profile

    try:
        profiled = profile(model, num_classes, **json.loads(options))
    except (UserError, UserErrors):
        return None
    return Cost(profiled.parameters, profiled.gmacs)

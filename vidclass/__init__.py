"""vidclass: sweeps of video classification architectures, from raw videos to a verdict."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidclass.study import BestModel, Study, load_study, run_study

__all__ = ["BestModel", "Study", "__version__", "load_study", "run_study"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the Python API when it is first used: it brings torch, which takes seconds."""
    if name in __all__:
        return getattr(importlib.import_module("vidclass.study"), name)
    raise AttributeError(f"module 'vidclass' has no attribute {name!r}")

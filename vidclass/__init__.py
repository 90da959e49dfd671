"""vidclass: sweeps of video classification architectures, from raw videos to a verdict."""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidclass.study import BestModel, Study, load_study
    from vidclass.sweep.commands import run_study

__all__ = ["BestModel", "Study", "__version__", "load_study", "run_study"]

__version__ = "0.1.0"

# Read by Ray when it is imported. That a process died is told by vidclass, with the video or the
# trial that it had in hand; Ray's own paragraphs on it would be drawn over the screen.
os.environ.setdefault(
    "RAY_DEDUP_LOGS_SKIP_REGEX",
    "A worker died or was killed|retries remaining, so the task will be retried",
)


def __getattr__(name: str) -> Any:
    """Import the Python API when it is first used: it brings torch, which takes seconds."""
    if name in __all__:
        module = "vidclass.sweep.commands" if name == "run_study" else "vidclass.study"
        return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'vidclass' has no attribute {name!r}")

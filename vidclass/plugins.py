"""A user's own models: the one way in which a study runs code that is not vidclass.

``--plugin FILE_OR_MODULE`` is loaded in the driver and in every trial; what it registers
(``vidclass.models.register_model``) is then a model like any other.
"""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path

from vidclass.errors import UserError

__all__ = ["load_plugin"]


def load_plugin(name: str) -> None:
    """Import ``name``, a file ending in .py or a module; a second call does nothing.

    Raises:
        UserError: when there is no such file or module, or it fails while it is imported.
    """
    try:
        if name.endswith(".py"):
            _load_file(Path(name).expanduser().resolve())
        else:
            importlib.import_module(name)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            "a plug-in is a Python file or an installed module that can be imported",
            f"{name}: {type(error).__name__}: {error}",
            "mend it, or try `python -c 'import ...'` in the same environment",
        ) from error


def _load_file(path: Path) -> None:
    name = f"vidclass_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UserError("a plug-in is a Python file", path, "the path of a file ending in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise

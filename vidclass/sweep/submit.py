"""What a submitted study takes along: vidclass itself, its file and its plug-ins, as one wheel.

Ray installs the wheel for the job's driver and on every node that runs a trial of it, in front of
what is installed there. So all of them run the code of whoever submitted, of one version, and no
search path is set anywhere. The wheel names no requirement: those are in the nodes' environment,
and pip would otherwise bring PyTorch once more for each job.
"""

import base64
import hashlib
import importlib.util
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import vidclass
from vidclass.errors import UserError

__all__ = ["CARRIED", "Submission", "build_wheel", "carried_plugins", "exit_code"]

CARRIED = "vidclass_job"
"""Package of the wheel that holds the study file and plug-in files."""

EXIT_FAILED = 1
EXIT_RUNNING = 4
EXIT_INTERRUPTED = 130
_DATE = (1980, 1, 1, 0, 0, 0)  # the same content must make the same file, which Ray then has


@dataclass(frozen=True)
class Submission:
    """A study as it is submitted.

    Attributes:
        name: name of the study, which its home folder will hold.
        file: its file.
        arguments: words after ``vidclass sweep run STUDY``, without plug-ins.
        plugins: files or modules, as the user named them.
    """

    name: str
    file: Path
    arguments: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()


def build_wheel(submission: Submission, folder: Path) -> Path:
    """Write the wheel of ``submission`` into ``folder`` and return it.

    Raises:
        UserError: when a plug-in is neither a Python file nor a module of Python files.
    """
    content = dict(_content(submission))
    digest = hashlib.sha256()
    for name in sorted(content):
        digest.update(f"{name}\0".encode() + content[name])
    version = f"{vidclass.__version__}+job.{digest.hexdigest()[:10]}"
    info = f"vidclass-{version}.dist-info"
    content[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: vidclass\nVersion: {version}\n".encode()
    )
    content[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: vidclass\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = [f"{name},sha256={_hash(content[name])},{len(content[name])}" for name in content]
    content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"vidclass-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in content.items():
            wheel.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
    return path


def carried_plugins(submission: Submission) -> list[str]:
    """Return the modules as which the wheel brings the plug-ins of ``submission``."""
    return [
        f"{CARRIED}.{_module_of(Path(name))}" if name.endswith(".py") else name
        for name in submission.plugins
    ]


def exit_code(status: str, driver_code: int | None) -> int:
    """Return what the commands on submitted studies end with.

    Args:
        status: Ray's word for the state of the job.
        driver_code: exit code of the study's driver, where it ended by itself.

    Returns:
        The driver's own code where it has one (0 complete, 2 a mistake of the user, 3 a limit of
        the budget); 130 for a study that was stopped, 4 for one that waits or runs, else 1.
    """
    if status in ("PENDING", "RUNNING"):
        return EXIT_RUNNING
    if status == "STOPPED":
        return EXIT_INTERRUPTED
    if status == "SUCCEEDED":
        return 0
    return driver_code or EXIT_FAILED


def _content(submission: Submission) -> Iterator[tuple[str, bytes]]:
    yield from _tree(Path(vidclass.__file__).parent, "vidclass")
    yield f"{CARRIED}/__init__.py", b""
    yield f"{CARRIED}/{submission.file.name}", submission.file.read_bytes()
    for name in submission.plugins:
        if name.endswith(".py"):
            path = Path(name).expanduser()
            if not path.is_file():
                raise _no_plugin(name, "no such file")
            yield f"{CARRIED}/{_module_of(path)}.py", path.read_bytes()
        else:
            yield from _module(name)


def _module(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the module ``name``: of its whole top-level package."""
    top = name.split(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise _no_plugin(name, "no such module")
    origin = Path(spec.origin)
    if origin.suffix != ".py":
        raise _no_plugin(name, f"{origin} is no Python file")
    if spec.submodule_search_locations:
        yield from _tree(origin.parent, top)
    else:
        yield f"{top}.py", origin.read_bytes()


def _tree(root: Path, name: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(root.rglob("*")):
        below = path.relative_to(root)
        if path.is_file() and "__pycache__" not in below.parts and path.suffix != ".pyc":
            yield f"{name}/{below.as_posix()}", path.read_bytes()


def _module_of(path: Path) -> str:
    return re.sub(r"\W", "_", path.stem)


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _no_plugin(name: str, why: str) -> UserError:
    return UserError(
        "a plug-in that travels is a Python file, or a module made of Python files",
        f"{name}: {why}",
        "the path of a file ending in .py, or a module that can be imported here",
    )

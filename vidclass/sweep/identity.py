"""Who a study is: its name and the hash of the fields that shape results."""

import os
import platform
import shlex
from collections.abc import Sequence
from typing import Any

import psutil
import torch
import yaml
from pydantic import ValidationError

import vidclass
from vidclass.errors import UserError
from vidclass.home import write_aside
from vidclass.sweep.engine import Engine
from vidclass.sweep.ledger import SCHEMA_VERSION
from vidclass.sweep.load import SHAPES_NO_RESULT, LoadedStudy, results_hash
from vidclass.sweep.spec import StudySpec

__all__ = ["check_identity", "hardware", "session_facts"]


def check_identity(engine: Engine, loaded: LoadedStudy) -> None:
    """Refuse to go on with a study that was begun from another file.

    Raises:
        UserError: with the list of fields that differ.
    """
    if not engine.state.started or engine.state.started["spec_hash"] == results_hash(loaded.spec):
        return
    now = _flat(loaded.spec.model_dump(mode="json"))
    before = _flat(_with_todays_fields(engine.state.spec))
    differing = [
        f"{key}: was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(now.keys() | before.keys())
        if now.get(key) != before.get(key) and key not in SHAPES_NO_RESULT
    ]
    if not differing:
        return  # begun by a version that hashed other fields
    raise UserError(
        f"the study {engine.name} in {engine.folder} goes on from the file it was begun with",
        "; ".join(differing),
        "undo the change, give the study another name, or remove it with `vidclass clean`",
    )


def session_facts(engine: Engine, loaded: LoadedStudy, slots: int) -> None:
    """Write down that a driver began to work: the study's first event, or a resumption."""
    facts: dict[str, Any] = {
        "version": vidclass.__version__,
        "schema": SCHEMA_VERSION,
        "hardware": hardware(),
        "slots": slots,
        "profile": loaded.spec.profile,
        "command": " ".join([loaded.command, *_plugin_words(engine.plugins)]),
    }
    if engine.state.started:
        engine.append("study_resumed", **facts)
        return
    spec = loaded.spec.model_dump(mode="json")
    with write_aside(engine.folder / "spec.yaml") as aside:
        aside.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    engine.append("study_started", spec=spec, spec_hash=results_hash(loaded.spec), **facts)


def _plugin_words(plugins: Sequence[str]) -> list[str]:
    return [word for plugin in plugins for word in ("--plugin", shlex.quote(plugin))]


def hardware() -> dict[str, Any]:
    """Return what the driver's machine is, for reports and benchmarks."""
    cuda = torch.cuda.is_available()
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        if cuda
        else [],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _with_todays_fields(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec of a ledger with the fields that came later at their defaults."""
    try:
        return StudySpec.model_validate(spec).model_dump(mode="json")
    except ValidationError:  # it has a field that is no more: that difference is told
        return spec


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            k: v for name, part in value.items() for k, v in _flat(part, f"{at}.{name}").items()
        }
    if isinstance(value, list) and value:
        return {k: v for n, part in enumerate(value) for k, v in _flat(part, f"{at}.{n}").items()}
    return {at.lstrip("."): value}

"""The commands of a cluster file: whole, known to Ray, with the token, no trials on the head."""

import importlib.util
import re
import subprocess
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from vidclass.cluster.findings import Finding, Place, near, node_types

__all__ = ["check_commands"]

RAY_WORDS = re.compile(r"\bray\s+(\w[\w-]*)([^;&|)]*)")
OPTION = re.compile(r"(?<!\S)(--?[a-zA-Z][\w-]*)")
MODULE = re.compile(r"python3? -m (vidclass[\w.]*)")


def check_commands(config: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong in the commands of a cluster file."""
    for place, text in _all_commands(config):
        for check in (_whole, _rays_own, _modules, _search_path):
            yield from check(place, text)
    yield from _head(config)
    yield from _token(config)


def _all_commands(config: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    owners: list[tuple[Place, dict[str, Any]]] = [((), config)]
    owners += [(("available_node_types", name), node) for name, node in node_types(config)]
    for place, owner in owners:
        for key in owner:
            if str(key).endswith("_commands"):
                for number, line in enumerate(owner[key] or ()):
                    yield (*place, key, number), str(line)


def _whole(place: Place, text: str) -> Iterator[Finding]:
    """Let bash read the command without running it."""
    read = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True)
    if read.returncode:
        remedy = "quote it: a blank and # begin a comment in YAML"
        yield place, "a command is whole", f"{text} ({read.stderr.strip()})", remedy


def _rays_own(place: Place, text: str) -> Iterator[Finding]:
    for name, rest in RAY_WORDS.findall(text):
        command = _ray_commands().get(name)
        if command is None:
            yield place, "ray has this command", f"ray {name}", near(name, _ray_commands())
            continue
        known = {option for parameter in command.params for option in parameter.opts}
        for option in OPTION.findall(rest):
            if option not in known:
                yield place, f"ray {name} has this option", option, near(option, known)


@lru_cache(maxsize=1)
def _ray_commands() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of Ray Serve, which comes along
        from ray.scripts.scripts import cli
    return dict(cli.commands)


def _modules(place: Place, text: str) -> Iterator[Finding]:
    for module in MODULE.findall(text):
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            yield place, "vidclass has this module", module, "as in cluster.yaml"


def _search_path(place: Place, text: str) -> Iterator[Finding]:
    if "PYTHONPATH" in text:
        yield (
            place,
            "code reaches the nodes as a wheel",
            text,
            "no PYTHONPATH: in ~/.bashrc it shadows what a submitted job brings with it",
        )


def _head(config: dict[str, Any]) -> Iterator[Finding]:
    """A head that shall run no trials says so twice, or trials land there."""
    name = config.get("head_node_type")
    head = (config.get("available_node_types") or {}).get(name) or {}
    commands = " ".join(str(line) for line in config.get("head_start_ray_commands") or ())
    place = ("head_start_ray_commands",)
    if (head.get("resources") or {}).get("CPU") == 0 and "--num-cpus=0" not in commands:
        yield (
            place,
            "a head with CPU: 0 is also started with --num-cpus=0",
            commands[-80:],
            "ray start --head --num-cpus=0 ...",
        )
    if host := re.search(r"--dashboard-host[= ](?!127\.0\.0\.1\b)(\S+)", commands):
        remedy = "--dashboard-host=127.0.0.1; reach it with: vidclass cluster dashboard"
        yield place, "the dashboard listens on the head alone", host[1], remedy


def _token(config: dict[str, Any]) -> Iterator[Finding]:
    """Without the token whoever reaches a port of the cluster runs code on it."""
    starts = [config.get("head_start_ray_commands"), config.get("worker_start_ray_commands")]
    if not any(starts):
        return
    if not any("auth_token" in str(path) for path in config.get("file_mounts") or {}):
        yield (
            ("file_mounts",),
            "every node has the token",
            "~/.ray/auth_token is not among them",
            "~/.ray/auth_token: ~/.ray/auth_token",
        )
    if not any("RAY_AUTH_MODE=token" in text for _, text in _all_commands(config)):
        yield (
            ("setup_commands",),
            "every node asks for the token",
            "no command sets RAY_AUTH_MODE=token",
            "as in cluster.yaml",
        )

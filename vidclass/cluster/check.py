"""What is wrong with a cluster file, found offline: no credentials, no network, nothing started.

Ray's own schema leaves ``provider`` and ``node_config`` free-form, so that a typo there is found by
the bill. Here the first is held against the keys that Ray reads and the second against the shape
that EC2 publishes of its request.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from vidclass.errors import UserError

__all__ = ["check_cluster_file", "read_cluster_file"]

PLACEHOLDERS = {
    r"REPLACE": "fill it in; the head of the file says with what",
    r"\b203\.0\.113\.\d": "the addresses that may reach port 22, as your office's network",
    r"\b123456789012\b": "the number of your own account",
}
"""Texts that a template stands for; 203.0.113.0/24 is reserved for documentation (RFC 5737)."""
READ_IN_CODE = {
    "aws": {
        "aws_credentials",
        "disable_launch_config_check",
        "foreground_node_launch",
        "key_pair",
        "use_external_head_ip",
        "worker_liveness_check",
        "worker_rpc_drain",
    },
    "local": {"coordinator_address", "external_head_ip", "list_of_node_ips"},
}
"""Keys of ``provider`` that Ray reads and its schema does not list."""
SET_BY_RAY = ("MinCount", "MaxCount")
RAYS_OWN = ("SubnetIds",)
EVERYBODY = ("0.0.0.0/0", "::/0")

Place = tuple[str | int, ...]


def read_cluster_file(path: Path) -> dict[str, Any]:
    """Return the content of a cluster file.

    Raises:
        UserError: when there is no such file, or it is no YAML mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            "a cluster file can be read", f"{path}: {error.strerror}", "for example cluster.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError("a cluster file is YAML in UTF-8", f"{path}: {error}", "mend it") from None
    if not isinstance(content, dict):
        raise UserError("a cluster file is a mapping", f"{path}: {content!r:.60}", "mend it")
    return content


def check_cluster_file(path: Path) -> list[UserError]:
    """Return everything that would keep ``ray up`` from working, or make it dangerous.

    Raises:
        UserError: when the file can't be read, or ``boto3`` is absent and the provider is AWS.
    """
    config = read_cluster_file(path)
    lines = _lines(path)

    def told(place: Place, rule: str, received: object, remedy: str) -> UserError:
        line = next((lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in lines), 1)
        return UserError(rule, f"{path.name} line {line}, {_dotted(place)}: {received}", remedy)

    checks = (_placeholders, _schema, _provider_keys, _node_configs, _open_ports, _commands, _head)
    return [told(*finding) for check in checks for finding in check(config)]


Finding = tuple[Place, str, object, str]


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place) or "the whole file"


def _lines(path: Path) -> dict[Place, int]:
    """Return the line of every value of the file, from 1."""
    found: dict[Place, int] = {}

    def walk(node: yaml.Node, place: Place) -> None:
        found[place] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                walk(value, (*place, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                walk(value, (*place, number))

    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    if root is not None:
        walk(root, ())
    return found


def _texts(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _texts(part, (*place, str(key)))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _texts(part, (*place, number))
    elif isinstance(value, str):
        yield place, value


def _placeholders(config: dict[str, Any]) -> Iterator[Finding]:
    for place, text in _texts(config):
        for pattern, remedy in PLACEHOLDERS.items():
            if found := re.search(rf"\S*{pattern}\S*", text):
                yield place, "everything that a template stands for is filled in", found[0], remedy


def _schema(config: dict[str, Any]) -> Iterator[Finding]:
    """Fill out and check as ``ray up`` does."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        validate_config(prepare_config(copy.deepcopy(config)))
    except Exception as error:  # a schema error, a KeyError or a TypeError, by what is wrong
        place = tuple(getattr(error, "absolute_path", ()))
        message = str(getattr(error, "message", error)).splitlines()[0]
        yield place, "Ray accepts the file", message, "see Ray's page on cluster YAML files"


def _provider_keys(config: dict[str, Any]) -> Iterator[Finding]:
    import json

    import ray

    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    listed = json.loads(schema.read_text())["properties"]["provider"]["properties"]
    provider = config.get("provider") or {}
    known = {*listed, *READ_IN_CODE.get(str(provider.get("type")), set())}
    for key in provider if provider.get("type") in READ_IN_CODE else ():
        if key not in known:
            yield ("provider", key), "Ray reads every key of provider", key, _near(key, known)


def _near(key: str, known: set[str]) -> str:
    import difflib

    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else "remove it"


def _node_configs(config: dict[str, Any]) -> Iterator[Finding]:
    """Hold every node_config against the shape of EC2's RunInstances request."""
    if (config.get("provider") or {}).get("type") != "aws":
        return
    validator, shape = _run_instances()
    for name, node in (config.get("available_node_types") or {}).items():
        given = {k: v for k, v in (node.get("node_config") or {}).items() if k not in RAYS_OWN}
        report = validator.validate({**dict.fromkeys(SET_BY_RAY, 1), **given}, shape)
        place = ("available_node_types", name, "node_config")
        for message in report.generate_report().splitlines():
            yield place, "EC2 knows every key of node_config", message, "RunInstances' own names"


def _run_instances() -> tuple[Any, Any]:
    """Return botocore's validator and EC2's request shape, both shipped with the package."""
    try:
        import botocore.session
        from botocore.validate import ParamValidator
    except ImportError:
        raise UserError(
            "node types of AWS are checked with botocore's own request shapes",
            "botocore is not installed",
            "pip install 'vidclass[cluster]'",
        ) from None
    model = botocore.session.Session().get_service_model("ec2")
    return ParamValidator(), model.operation_model("RunInstances").input_shape


def _open_ports(config: dict[str, Any]) -> Iterator[Finding]:
    group = (config.get("provider") or {}).get("security_group") or {}
    if (config.get("provider") or {}).get("type") == "aws" and not group:
        yield (
            ("provider",),
            "port 22 is open to your own addresses alone",
            "no security_group: Ray's own opens it to everybody",
            "security_group with IpPermissions, as in cluster.yaml",
        )
    for place, text in _texts(group, ("provider", "security_group")):
        if text in EVERYBODY:
            yield (
                place,
                "no port is open to everybody",
                text,
                "your own, as 198.51.100.0/24",
            )


def _commands(config: dict[str, Any]) -> Iterator[Finding]:
    for key in config:
        if not str(key).endswith("_commands"):
            continue
        for number, line in enumerate(config[key] or ()):
            text = str(line)
            if text.count("'") % 2 or text.count('"') % 2:
                yield (
                    (key, number),
                    "a command is whole",
                    text,
                    "quote it: a blank and # begin a comment in YAML",
                )
            if "PYTHONPATH" in text:
                yield (
                    (key, number),
                    "code reaches the nodes as a wheel",
                    text,
                    "no PYTHONPATH: in ~/.bashrc it shadows what a submitted job brings with it",
                )


def _head(config: dict[str, Any]) -> Iterator[Finding]:
    """A head that shall run no trials says so twice, or trials land there."""
    name = config.get("head_node_type")
    head = (config.get("available_node_types") or {}).get(name) or {}
    commands = " ".join(str(line) for line in config.get("head_start_ray_commands") or ())
    if (head.get("resources") or {}).get("CPU") == 0 and "--num-cpus=0" not in commands:
        yield (
            ("head_start_ray_commands",),
            "a head with CPU: 0 is also started with --num-cpus=0",
            commands[-80:],
            "ray start --head --num-cpus=0 ...",
        )

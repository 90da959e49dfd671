"""What is wrong with a cluster file, found offline: no credentials, no network, nothing started.

Ray's own schema leaves ``provider`` and ``node_config`` free-form, so that a typo there is found by
the bill. Here the first is held against the keys that Ray reads and the second against the shape
that EC2 publishes of its request.
"""

import copy
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from vidclass.cluster.check_aws import check_aws
from vidclass.cluster.check_commands import check_commands
from vidclass.cluster.findings import Finding, Place, near, texts
from vidclass.errors import UserError

__all__ = ["check_cluster_file", "check_mounts", "read_cluster_file"]

PLACEHOLDERS = {
    r"REPLACE": "fill it in; the head of the file says with what",
    r"\b203\.0\.113\.\d": "the addresses that may reach port 22, as your office's network",
    r"\b123456789012\b": "the number of your own account",
}
"""Texts that a template stands for; 203.0.113.0/24 is reserved for documentation (RFC 5737)."""
MADE_BY = {
    "auth_token": "ray get-auth-token --generate",
    "dist": "make wheel",
}
"""How what a mount names is made."""
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

    checks = (_placeholders, _schema, _provider_keys, _own_machines, check_aws, check_commands)
    found = [told(*finding) for check in checks for finding in check(config)]
    # a value that an alias (*image) brings to several places is wrong at one line
    return list({(e.rule, _line_and_value(e), e.remedy): e for e in found}.values())


def _line_and_value(error: UserError) -> tuple[str, str]:
    where, _, value = str(error.received).partition(", ")
    return where, value.split(": ", 1)[-1]


def check_mounts(config: dict[str, Any]) -> list[UserError]:
    """Return the files that would be copied to the nodes and are not there."""
    return [
        UserError(
            "what file_mounts names is there",
            local,
            MADE_BY.get(Path(local).name, "a path as seen from this folder"),
        )
        for local in map(str, (config.get("file_mounts") or {}).values())
        if not Path(local).expanduser().exists()
    ]


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


def _placeholders(config: dict[str, Any]) -> Iterator[Finding]:
    for place, text in texts(config):
        for pattern, remedy in PLACEHOLDERS.items():
            if found := re.search(rf"\S*{pattern}\S*", text):
                yield place, "everything that a template stands for is filled in", found[0], remedy


def _schema(config: dict[str, Any]) -> Iterator[Finding]:
    """Fill out and check as ``ray up`` does, but tell all mistakes and not the first alone."""
    from jsonschema import Draft7Validator
    from ray.autoscaler._private.util import prepare_config, validate_config

    rule, remedy = "Ray accepts the file", "see Ray's page on cluster YAML files"
    found = False
    for error in Draft7Validator(_ray_schema()).iter_errors(config):
        found = True
        place = tuple(error.absolute_path)
        if error.validator != "additionalProperties":
            yield place, rule, error.message.splitlines()[0], remedy
            continue
        known = error.schema["properties"]
        for key in set(error.instance) - set(known):
            yield (*place, key), rule, f"{key} is no key here", near(key, known)
    if found:
        return
    logging.disable(logging.CRITICAL)  # Ray's notes on what it fills in
    try:
        validate_config(prepare_config(copy.deepcopy(config)))
    except Exception as error:  # a ValueError, a KeyError or a TypeError, by what is wrong
        yield (), rule, str(error).splitlines()[0], remedy
    finally:
        logging.disable(logging.NOTSET)


def _ray_schema() -> dict[str, Any]:
    import ray

    path = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    # what users of the old form with one kind of worker still write; Ray turns it into node types
    schema["properties"] |= {"min_workers": {"type": "integer", "minimum": 0}}
    return schema


def _provider_keys(config: dict[str, Any]) -> Iterator[Finding]:
    listed = _ray_schema()["properties"]["provider"]["properties"]
    provider = config.get("provider") or {}
    kind = provider.get("type")
    known = {*listed, *READ_IN_CODE.get(str(kind), set())}
    for key in provider if kind in READ_IN_CODE else ():
        if key not in known:
            yield ("provider", key), "Ray reads every key of provider", key, near(key, known)


def _own_machines(config: dict[str, Any]) -> Iterator[Finding]:
    """All machines of one's own are started at once, or some never are."""
    provider = config.get("provider") or {}
    if provider.get("type") != "local" or "worker_ips" not in provider:
        return
    workers = len(provider["worker_ips"] or ())
    for key in ("min_workers", "max_workers"):
        if config.get(key, workers) != workers:
            yield (key,), f"{key} is the number of worker_ips", config[key], str(workers)

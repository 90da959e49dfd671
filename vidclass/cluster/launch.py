"""Starting and ending a cluster: `ray up` and `ray down` with what they leave undone."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vidclass
from vidclass.cluster.check import check_cluster_file, check_mounts, read_cluster_file
from vidclass.errors import UserError, raise_collected

__all__ = ["bring_up", "facts_of", "open_tunnel", "show_status", "status_lines", "take_down"]

Say = Callable[[str], None]
TOKEN = Path("~/.ray/auth_token")
POLL_S = 8.0
"""Each question costs the head a driver's start, while it starts its workers."""
PATIENCE_S = 120.0
"""A worker whose start failed is not tried again by Ray; another `ray up` brings it."""


def bring_up(path: Path, say: Say, *, wait_s: float) -> None:
    """Check ``path``, run ``ray up``, and wait until the workers that it always wants are there.

    Raises:
        UserErrors: with all that is wrong in the file; nothing was started then.
        UserError: when the wheel is missing, or ``ray up`` failed or the workers did not come.
    """
    config = read_cluster_file(path)
    _make_token(say)
    raise_collected([*check_cluster_file(path), *check_mounts(config)])
    _check_wheel(config)
    _ray(config, "up", "-y", str(path))
    wanted = 1 + _always(config)
    deadline, again = time.monotonic() + wait_s, time.monotonic() + PATIENCE_S
    while (alive := len((facts := facts_of(path, config)).get("nodes", ()))) < wanted:
        if time.monotonic() > deadline:
            raise UserError(
                f"all {wanted} nodes are there within {wait_s:g} s",
                f"{alive} are",
                f"look into it with: ray monitor {path}",
            )
        say(f"{alive} of {wanted} nodes are there")
        if time.monotonic() > again and _own_workers(config):
            say("ray up once more, for the workers that did not come")
            _ray(config, "up", "-y", str(path))
            again += PATIENCE_S
        time.sleep(POLL_S)
    say(f"all {wanted} nodes are there")
    if not facts["services"]["MLflow"]:
        say("MLflow does not answer yet; its log is ~/vidclass-mlflow/server.log on the head")


def take_down(path: Path, say: Say) -> None:
    """End Ray and MLflow on machines that are no cloud's, then run ``ray down``.

    Raises:
        UserError: when ``ray down`` failed.
    """
    config = read_cluster_file(path)
    for address in _own_workers(config):
        _tell_ended(config, address, "ray stop", "Ray", say)
    if head := (config.get("provider") or {}).get("head_ip"):
        stop = "python -m vidclass.cluster.mlflow_server --stop"
        _tell_ended(config, str(head), stop, "MLflow", say)
    _ray(config, "down", "-y", str(path))


def show_status(path: Path, say: Say) -> None:
    """Say what the cluster consists of and does.

    Raises:
        UserError: when its head does not answer.
    """
    told = facts_of(path, read_cluster_file(path))
    if not told:
        remedy = f"start it: vidclass cluster up {path}"
        raise UserError("the head of the cluster answers", f"no answer ({path})", remedy)
    for line in status_lines(told):
        say(line)


def open_tunnel(path: Path, port: int) -> None:
    """Forward ``port`` of this machine to that of the head over ssh, until Ctrl-C.

    Raises:
        UserError: when the tunnel ends by itself, as where the port is taken here.
    """
    config = read_cluster_file(path)
    words = ["ray", "exec", "--port-forward", str(port), str(path), "sleep infinity"]
    try:
        ended = subprocess.run(words, env=_environment(config), stdout=subprocess.DEVNULL)
    except KeyboardInterrupt:
        return
    raise UserError(
        "the tunnel stays until Ctrl-C",
        f"exit status {ended.returncode}",
        f"see the lines above; port {port} must be free on this machine",
    )


def facts_of(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return what the head tells (`vidclass.cluster.facts`); empty where it does not answer."""
    told = subprocess.run(
        ["ray", "exec", str(path), "python -m vidclass.cluster.facts"],
        env=_environment(config),
        capture_output=True,
        text=True,
    ).stdout
    lines = [line.strip() for line in told.splitlines() if line.startswith('{"nodes"')]
    facts: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return facts


def status_lines(told: dict[str, Any]) -> list[str]:
    """Return what `facts_of` gives as `vidclass cluster status` shows them."""
    rows = [
        f"{'head' if node['head'] else 'worker':8}{node['name']:20}{node['address']:16}"
        f"{node['cpus']:g} CPUs, {node['gpus']:g} GPUs for trials"
        for node in sorted(told["nodes"], key=lambda node: (not node["head"], node["address"]))
    ]
    services = [f"{name} {'answers' if up else 'is away'}" for name, up in told["services"].items()]
    return [*rows, ", ".join(services), f"running: {', '.join(told['studies']) or 'no study'}"]


def _always(config: dict[str, Any]) -> int:
    """Return the workers that are there without any work."""
    types = config.get("available_node_types") or {}
    named = sum(int(node.get("min_workers", 0)) for node in types.values())
    return named or int(config.get("min_workers", 0))


def _own_workers(config: dict[str, Any]) -> list[str]:
    provider = config.get("provider") or {}
    return list(provider.get("worker_ips") or ()) if provider.get("type") == "local" else []


def _tell_ended(config: dict[str, Any], address: str, command: str, what: str, say: Say) -> None:
    words = [*_ssh(config, address), f"bash -lic '{command}'"]
    ended = subprocess.run(words, capture_output=True)
    say(f"{address}: {f'{what} ended' if ended.returncode == 0 else 'not reached'}")


def _ssh(config: dict[str, Any], address: str) -> list[str]:
    auth = config.get("auth") or {}
    key = auth.get("ssh_private_key")
    identity = ["-i", str(Path(key).expanduser())] if key else []
    options = ["-o", "StrictHostKeyChecking=no", "-o", "ConnectTimeout=10", "-o", "BatchMode=yes"]
    return ["ssh", *identity, *options, f"{auth.get('ssh_user', 'root')}@{address}"]


def _environment(config: dict[str, Any]) -> dict[str, str]:
    environment = {**os.environ, "RAY_AUTH_MODE": "token"}
    if (config.get("provider") or {}).get("type") == "local":
        # the newer autoscaler takes an own head for a worker and never starts the last one
        environment["RAY_UP_enable_autoscaler_v2"] = "0"
    return environment


def _ray(config: dict[str, Any], *words: str) -> None:
    ended = subprocess.run(["ray", *words], env=_environment(config))
    if ended.returncode:
        raise UserError(
            f"ray {words[0]} ends well", f"exit status {ended.returncode}", "see its lines above"
        )


def _check_wheel(config: dict[str, Any]) -> None:
    """Refuse a folder of wheels that does not hold exactly this version."""
    mounts = [str(local) for local in (config.get("file_mounts") or {}).values()]
    for folder in (Path(local).expanduser() for local in mounts if local.endswith("dist")):
        wheels = sorted(path.name for path in folder.glob("vidclass-*.whl"))
        if [name.split("-")[1] for name in wheels] != [vidclass.__version__]:
            raise UserError(
                f"{folder} holds the wheel of this version, {vidclass.__version__}, and no other",
                ", ".join(wheels) or "none",
                "make wheel",
            )


def _make_token(say: Say) -> None:
    token = TOKEN.expanduser()
    if not token.exists():
        subprocess.run(["ray", "get-auth-token", "--generate"], check=True, capture_output=True)
        say(f"made a token: {token}; whoever holds it runs code on the cluster")
    token.chmod(0o600)

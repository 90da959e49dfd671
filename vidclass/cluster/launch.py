"""Starting and ending a cluster: `ray up` and `ray down` with what they leave undone."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vidclass
from vidclass.cluster.check import check_cluster_file, read_cluster_file
from vidclass.errors import UserError, raise_collected

__all__ = ["bring_up", "count_nodes", "take_down"]

Say = Callable[[str], None]
TOKEN = Path("~/.ray/auth_token")
POLL_S = 3.0
COUNT = (
    "import ray; ray.init(address='auto', logging_level=50, log_to_driver=False); "
    "print('alive', sum(node['Alive'] for node in ray.nodes()))"
)


def bring_up(path: Path, say: Say, *, wait_s: float) -> None:
    """Check ``path``, run ``ray up``, and wait until the workers that it always wants are there.

    Raises:
        UserErrors: with all that is wrong in the file; nothing was started then.
        UserError: when the wheel is missing, or ``ray up`` failed or the workers did not come.
    """
    raise_collected(check_cluster_file(path))
    config = read_cluster_file(path)
    _check_wheel(config)
    _make_token(say)
    _ray(config, "up", "-y", str(path))
    wanted = 1 + _always(config)
    deadline = time.monotonic() + wait_s
    while (alive := count_nodes(path, config)) < wanted:
        if time.monotonic() > deadline:
            raise UserError(
                f"all {wanted} nodes are there within {wait_s:g} s",
                f"{alive} are",
                f"look into it with: ray monitor {path}",
            )
        say(f"{alive} of {wanted} nodes are there")
        time.sleep(POLL_S)
    say(f"all {wanted} nodes are there")


def take_down(path: Path, say: Say) -> None:
    """End Ray on workers that are no cloud's, then run ``ray down``.

    Raises:
        UserError: when ``ray down`` failed.
    """
    config = read_cluster_file(path)
    for address in _own_workers(config):
        ended = subprocess.run(
            [*_ssh(config, address), "bash -lic 'ray stop'"], capture_output=True
        )
        say(f"{address}: {'Ray ended' if ended.returncode == 0 else 'not reached'}")
    _ray(config, "down", "-y", str(path))


def count_nodes(path: Path, config: dict[str, Any]) -> int:
    """Return how many nodes are alive, the head among them; 0 where it does not answer."""
    told = subprocess.run(
        ["ray", "exec", str(path), f"python -c {shlex.quote(COUNT)}"],
        env=_environment(config),
        capture_output=True,
        text=True,
    ).stdout
    counts = [line.split()[1] for line in told.splitlines() if line.startswith("alive ")]
    return int(counts[-1]) if counts else 0


def _always(config: dict[str, Any]) -> int:
    """Return the workers that are there without any work."""
    types = config.get("available_node_types") or {}
    named = sum(int(node.get("min_workers", 0)) for node in types.values())
    return named or int(config.get("min_workers", 0))


def _own_workers(config: dict[str, Any]) -> list[str]:
    provider = config.get("provider") or {}
    return list(provider.get("worker_ips") or ()) if provider.get("type") == "local" else []


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

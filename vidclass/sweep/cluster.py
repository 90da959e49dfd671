"""Ray for one study: started locally, or joined where a cluster runs already."""

import logging
import os
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import yaml

from vidclass.data.parallel import ray_address
from vidclass.errors import UserError

__all__ = ["capacity", "cluster", "could_have", "slots_of"]

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml").expanduser()
"""Where `ray up` puts the cluster file on the head."""

_TUNE_SETTINGS = {
    # our own handler writes the interruption down and ends trials in seconds, not tens of them
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # the ledger is what is kept; Tune's own result files would be a second, later truth
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_TRIAL_SETTINGS = {
    # with the default of 2 s a slow end of one trial aborts the next in the reused process
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    "OMP_NUM_THREADS": "1",
}

SLOW_START = "timed out during startup"
STARTS = 3
"""Attempts at starting Ray, which gives each of its processes 30 s, and has no setting for more."""


@contextmanager
def cluster() -> Iterator[None]:
    """Join the cluster of RAY_ADDRESS, or start Ray here; leave it as it was found.

    Raises:
        UserError: when Ray does not start in time.
    """
    os.environ.update(_TUNE_SETTINGS)
    if ray.is_initialized():
        yield
        return
    joined = "RAY_ADDRESS" in os.environ
    _tighten_token()
    # "Token authentication is enabled" is what is wanted here, and no warning
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    with warnings.catch_warnings(), _own_signals():
        warnings.simplefilter("ignore")
        _start(
            address=ray_address(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": _TRIAL_SETTINGS | _depot()},
            # a cluster that is joined has its own
            _temp_dir=None if joined else os.environ.get("VIDCLASS_RAY_TEMP"),
        )
    _tighten_token()
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def _start(**settings: Any) -> None:
    """Start or join Ray; once more where the machine was too busy for Ray's own patience.

    Raises:
        UserError: when it stays too busy.
    """
    for left in reversed(range(STARTS)):
        try:
            ray.init(**settings)
        except Exception as error:  # Ray has no type of its own for this
            if SLOW_START not in str(error):
                raise
            ray.shutdown()
            if not left:
                raise UserError(
                    "Ray starts within 30 s",
                    f"it took longer, {STARTS} times, at a load average of "
                    f"{os.getloadavg()[0]:.0f} on {os.cpu_count()} cores",
                    "run the same again once this machine has less to do; nothing is lost",
                ) from error
        else:
            return


def _depot() -> dict[str, str]:
    """Return the driver's depot, which all processes of the study must have."""
    url = os.environ.get("VIDCLASS_STORE")
    return {"VIDCLASS_STORE": url} if url else {}


@contextmanager
def _own_signals() -> Iterator[None]:
    """Put the handlers of Ctrl-C and SIGTERM back: Ray takes SIGTERM, and ends in an abort."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def capacity() -> dict[str, float]:
    """Return the resources that the cluster has, or can have once its autoscaler was asked."""
    now = dict(ray.cluster_resources())  # type: ignore[no-untyped-call]
    if BOOTSTRAP.exists():
        config = yaml.safe_load(BOOTSTRAP.read_text(encoding="utf-8"))
        for name, amount in could_have(config).items():
            now[name] = max(now.get(name, 0.0), amount)
    return {name: now[name] for name in ("CPU", "GPU") if now.get(name)}


def could_have(config: dict[str, Any]) -> dict[str, float]:
    """Return the CPUs and GPUs of a cluster file's cluster at its largest.

    Each kind is counted as if the machines with most of it came first, up to ``max_workers``. A
    type of machine without ``resources`` (Ray asks the cloud then) is not counted. Nor is one that
    stands in for a type of higher priority: it takes the other's place.
    """
    types = _without_fallbacks(config.get("available_node_types") or {})
    head = str(config.get("head_node_type"))
    total = {}
    for name in ("CPU", "GPU"):
        left = int(config.get("max_workers") or 0)
        amount = float((types.get(head, {}).get("resources") or {}).get(name, 0))
        workers = [
            (float((node.get("resources") or {}).get(name, 0)), int(node.get("max_workers", 0)))
            for node_name, node in types.items()
            if node_name != head
        ]
        for each, most in sorted(workers, reverse=True):
            amount += each * min(most, left)
            left -= min(most, left)
        total[name] = amount
    return total


def _without_fallbacks(types: dict[str, Any]) -> dict[str, Any]:
    def stands_in(node: dict[str, Any]) -> bool:
        return any(
            other.get("resources") == node.get("resources")
            and int(other.get("priority") or 0) > int(node.get("priority") or 0)
            for other in types.values()
        )

    return {name: node for name, node in types.items() if not stands_in(node)}


def slots_of(wanted: int | None) -> tuple[int, dict[str, float]]:
    """Return how many trials run at once, and what each asks for.

    One a GPU, or one a core with one thread each; ``wanted`` overrides the number. More slots than
    GPUs share them. A cluster that grows on demand counts as grown.
    """
    resources = capacity()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    slots = wanted or gpus or cpus
    asked = {"CPU": min(1.0, cpus / slots)}
    if gpus:
        asked["GPU"] = min(1.0, gpus / slots)
    return slots, asked


def scratch_folder() -> str:
    """Return a node-local folder for Tune's own files, which nothing reads afterwards."""
    return tempfile.mkdtemp(prefix="vidclass-tune-")


def _tighten_token() -> None:
    """Ray writes its token readable by all: make it the user's alone."""
    token = Path.home() / ".ray" / "auth_token"
    if token.exists() and token.stat().st_mode & 0o077:
        token.chmod(0o600)

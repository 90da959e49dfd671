"""Checkpoints of one trial: never half written, always checked when read.

A folder holds, for each checkpoint NAME, the payload ``NAME`` and a sidecar ``NAME.json`` with its
sha256 and the metrics of its epoch. The sidecar is written first: a payload that is visible can
always be checked, and a sidecar without its payload means nothing.

``EPOCH.ATTEMPT`` is all that a training needs to go on; ``best-EPOCH.ATTEMPT`` holds weights only.
Nothing here looks for "the newest": the caller names what it resumes from, so that a late writer
of a lost attempt changes nothing.
"""

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vidclass.disk import has_no_room
from vidclass.errors import UserError
from vidclass.home import write_aside

__all__ = ["CheckpointFolder", "CheckpointError", "Sidecar"]

BEST_PREFIX = "best-"


class CheckpointError(UserError):
    """A checkpoint is absent or is not what was written."""


class Sidecar(NamedTuple):
    """What is known of a checkpoint without loading it.

    ``right`` has a ``1`` for each validation sample that best weights were right on, else a ``0``.
    """

    epoch: int
    attempt: int
    sha256: str
    metrics: dict[str, float]
    right: str = ""


class CheckpointFolder:
    """The checkpoints of one trial, written by one attempt of it.

    Args:
        path: the folder; made by the first save.
        attempt: number of the attempt that writes; files of later attempts are never removed.
    """

    def __init__(self, path: Path, attempt: int = 0) -> None:
        self.path = Path(path)
        self.attempt = attempt

    def save(self, epoch: int, payload: dict[str, Any], metrics: dict[str, float]) -> str:
        """Write what a training needs to go on after ``epoch``; return the checkpoint's name."""
        return self._write(f"{epoch}.{self.attempt}", epoch, payload, metrics)

    def save_best(
        self,
        epoch: int,
        weights: dict[str, torch.Tensor],
        metrics: dict[str, float],
        thresholds: tuple[float, ...] | None = None,
        right: str = "",
    ) -> str:
        """Write the weights that ``metrics`` were measured with; return the checkpoint's name.

        Args:
            epoch: after which the model had them.
            weights: of the model.
            metrics: of the epoch.
            thresholds: of the classes, where several may hold: found on validation, they belong to
                the weights.
            right: of the sidecar.
        """
        name = f"{BEST_PREFIX}{epoch}.{self.attempt}"
        payload: dict[str, Any] = {"weights": weights}
        if thresholds is not None:
            payload["thresholds"] = list(thresholds)
        return self._write(name, epoch, payload, metrics, right)

    def load(self, name: str) -> dict[str, Any]:
        """Return the payload of ``name``, tensors on the CPU.

        Raises:
            CheckpointError: when it is absent or its bytes are not those that were written.
        """
        expected = self.sidecar(name).sha256
        if self._sha256(self.path / name) != expected:
            raise CheckpointError(
                "a checkpoint has the sha256 that its sidecar says",
                f"{self.path / name} has another",
                "resume from an earlier checkpoint, or run the trial again",
            )
        payload: dict[str, Any] = torch.load(
            self.path / name, map_location="cpu", weights_only=True
        )
        return payload

    def load_weights(self, name: str) -> dict[str, torch.Tensor]:
        """Return the weights of a best checkpoint, read back and verified.

        Raises:
            CheckpointError: as :meth:`load`.
        """
        weights: dict[str, torch.Tensor] = self.load(name)["weights"]
        return weights

    def load_thresholds(self, name: str) -> tuple[float, ...] | None:
        """Return the thresholds of a best checkpoint; None where one class holds at a time.

        Raises:
            CheckpointError: as :meth:`load`.
        """
        thresholds = self.load(name).get("thresholds")
        return None if thresholds is None else tuple(thresholds)

    def sidecar(self, name: str) -> Sidecar:
        """Return the sidecar of ``name`` without reading its payload.

        Raises:
            CheckpointError: when there is no such checkpoint.
        """
        file = self.path / f"{name}.json"
        if not (file.exists() and (self.path / name).exists()):
            raise CheckpointError(
                "a checkpoint is a file with a sidecar beside it",
                self.path / name,
                f"one of {', '.join(self.names()) or 'none, since the folder holds none'}",
            )
        return Sidecar(**json.loads(file.read_text()))

    def names(self) -> list[str]:
        """Return the names of all whole checkpoints, sorted by epoch, then attempt."""
        sidecars = (file.with_suffix("") for file in self.path.glob("[!.]*.json"))
        return sorted((file.name for file in sidecars if file.exists()), key=_place)

    def keep_only(self, *kept: str | None) -> None:
        """Remove all but ``kept``, sparing the files of later attempts.

        To be called once the caller has written down what it resumes from.
        """
        for name in self.names():
            if name not in kept and _place(name)[1] <= self.attempt:
                (self.path / name).unlink(missing_ok=True)
                (self.path / f"{name}.json").unlink(missing_ok=True)

    def _write(
        self,
        name: str,
        epoch: int,
        payload: dict[str, Any],
        metrics: dict[str, float],
        right: str = "",
    ) -> str:
        with write_aside(self.path / name) as aside:
            try:
                torch.save(payload, aside)
            except RuntimeError as error:  # PyTorch's writer does not say that the disk is full
                if has_no_room(self.path):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(aside)) from error
                raise
            about = Sidecar(epoch, self.attempt, self._sha256(aside), metrics, right)
            with write_aside(self.path / f"{name}.json") as sidecar:
                sidecar.write_text(json.dumps(about._asdict(), indent=2) + "\n")
        return name

    @staticmethod
    def _sha256(file: Path) -> str:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()


def _place(name: str) -> tuple[int, int, bool]:
    """Return (epoch, attempt, is best) of a checkpoint's name."""
    epoch, attempt = name.removeprefix(BEST_PREFIX).split(".")
    return int(epoch), int(attempt), name.startswith(BEST_PREFIX)

"""Where stores are kept that no node reads in place: a folder, S3 or Google Cloud Storage.

``VIDCLASS_STORE`` names it by URL: ``file:///mnt/share/store``, ``s3://BUCKET/PREFIX`` or
``gs://BUCKET/PREFIX``; pyarrow takes credentials where the cloud's own tools do. Another server
that speaks S3 is named in the URL: ``s3://BUCKET?endpoint_override=HOST:PORT&scheme=http``.

Only frames and features go there. Ledgers and checkpoints stay in the home folder, which all nodes
share: a ledger grows by appending, and no object can.
"""

import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyarrow import fs

from vidclass.errors import UserError
from vidclass.home import write_aside

__all__ = ["Depot", "depot", "use_depot"]

VARIABLE = "VIDCLASS_STORE"
COPY_BYTES = 8 * 2**20


def depot() -> "Depot | None":
    """Return the depot of ``VIDCLASS_STORE``; None where stores lie in the home folder."""
    url = os.environ.get(VARIABLE)
    return _opened(url) if url else None


def use_depot(url: str | None) -> None:
    """Have this process use the depot of the driver that sent it work; None leaves things alone."""
    if url is not None:
        os.environ[VARIABLE] = url


@lru_cache(maxsize=4)
def _opened(url: str) -> "Depot":
    return Depot(url)


class Depot:
    """Files below one URL; each appears whole or not at all.

    Raises:
        UserError: when the URL is of no known kind.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            system, root = fs.FileSystem.from_uri(url)
        except (ValueError, OSError) as error:
            raise UserError(
                f"{VARIABLE} is the URL of a folder, of S3 or of Google Cloud Storage",
                f"{_without_secrets(url)}: {str(error).splitlines()[0]}",
                "file:///mnt/share/store, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX",
            ) from error
        self._system: Any = system
        self._root = root.rstrip("/")
        self._is_folder = isinstance(system, fs.LocalFileSystem)

    def check(self) -> None:
        """Look whether the depot answers.

        Raises:
            UserError: when it does not.
        """
        try:
            self.sizes("")
        except OSError as error:
            raise UserError(
                f"{VARIABLE} can be reached with this machine's credentials",
                f"{_without_secrets(self.url)}: {str(error).splitlines()[0]}",
                "its bucket, region and credentials; `aws s3 ls` shows whether they are right",
            ) from error

    def sizes(self, folder: str) -> dict[str, int]:
        """Return ``{name: bytes}`` of the whole files directly in ``folder``."""
        chosen = fs.FileSelector(self._path(folder), allow_not_found=True)
        return {
            info.base_name: info.size
            for info in self._system.get_file_info(chosen)
            if info.type == fs.FileType.File and not info.base_name.startswith(".")
        }

    def put(self, local: Path, name: str) -> None:
        """Copy ``local`` to ``name``."""
        target = self._path(name)
        if not self._is_folder:  # an object appears when its upload is complete
            self._copy_up(local, target)
            return
        folder, _, base = target.rpartition("/")
        aside = f"{folder}/.{base}.{secrets.token_hex(4)}.aside"
        self._system.create_dir(folder, recursive=True)
        self._copy_up(local, aside)
        self._system.move(aside, target)

    def get(self, name: str, local: Path) -> bool:
        """Copy ``name`` to ``local``; return False where there is no such file."""
        try:
            source = self._system.open_input_stream(self._path(name))
        except FileNotFoundError:
            return False
        with source, write_aside(local) as aside, aside.open("wb") as file:
            while block := source.read(COPY_BYTES):
                file.write(block)
        return True

    def _copy_up(self, local: Path, target: str) -> None:
        with local.open("rb") as file, self._system.open_output_stream(target) as stream:
            while block := file.read(COPY_BYTES):
                stream.write(block)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")


def _without_secrets(url: str) -> str:
    """Return ``url`` without a key and secret that may stand before its @."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"

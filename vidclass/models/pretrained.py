"""Weights from files: found, downloaded once, read without running code, checked key by key.

Files lie in HOME/weights; whatever is put there under its published name needs no network.
"""

import hashlib
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import nn

from vidclass.errors import UserError, raise_collected
from vidclass.home import home, write_aside
from vidclass.models.backbones_library import BackboneFacts, backbone_facts

__all__ = [
    "NO_WEIGHTS",
    "PUBLISHED",
    "file_hash",
    "find_weights",
    "fitting_state",
    "load_state",
    "local_file",
    "read_state",
    "skip_pretrained",
    "skips_pretrained",
    "weights_file",
    "weights_folder",
    "weights_hash",
]

PUBLISHED = "imagenet"
NO_WEIGHTS = "none"
State = Mapping[str, torch.Tensor]

# Older files of DenseNet, its authors' own, have a dot where a module's name now may have none.
_DENSE_LAYER = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
_SHOWN = 5  # keys that a message names

_skipped: ContextVar[bool] = ContextVar("skip_pretrained", default=False)


@contextmanager
def skip_pretrained() -> Iterator[None]:
    """Build models without reading their weights, since those of a checkpoint follow."""
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


def skips_pretrained() -> bool:
    """Say whether models are being built inside :func:`skip_pretrained`."""
    return _skipped.get()


def weights_folder() -> Path:
    """Return the folder of weights below the home folder."""
    return home() / "weights"


def find_weights(backbone: str, weights: str) -> Path:
    """Return the file that ``weights`` means for ``backbone``, downloaded if need be.

    Args:
        backbone: name of a backbone.
        weights: ``imagenet`` for the published file, or the path of a file; a relative one is
            looked for in HOME/weights, then in the current folder.

    Raises:
        UserError: when there is no such file, nothing is published, or there is no network.
    """
    return weights_file(backbone_facts(backbone), weights)


def weights_file(facts: BackboneFacts, weights: str, published: str = PUBLISHED) -> Path:
    """Return the file that ``weights`` means for the net of ``facts``, downloaded if need be.

    Args:
        facts: of the net.
        weights: ``published`` for the published file, or the path of a file.
        published: the word for that, which names the data that those weights were trained on.

    Raises:
        UserError: when there is no such file, nothing is published, or there is no network.
    """
    if weights == published:
        return _published(facts, published)
    return local_file(weights, published, NO_WEIGHTS)


def local_file(weights: str, *others: str) -> Path:
    """Return the file of that path; a relative one lies in HOME/weights or the current folder.

    Args:
        weights: path of a file.
        others: words that are allowed in its place, for the message.

    Raises:
        UserError: when there is no such file.
    """
    path = Path(weights).expanduser()
    for candidate in (path,) if path.is_absolute() else (weights_folder() / path, path):
        if candidate.is_file():
            return candidate.resolve()
    raise UserError(
        f"weights are {', '.join(f'`{word}`' for word in others)} or a file",
        weights,
        f"an absolute path, or the name of a file in {weights_folder()}",
    )


def _published(facts: BackboneFacts, published: str) -> Path:
    if facts.file is None:
        raise UserError(
            f"weights: {published} takes the file that the library of a net publishes",
            f"{facts.library} publishes none for {facts.name}",
            "weights: FILE, or weights: none",
        )
    path = weights_folder() / facts.file
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():  # another process may have been first
            try:
                _download(facts, path)
            except Exception as error:  # noqa: BLE001 - network, proxy, hub: each has its own kinds
                told = str(error).strip().splitlines()
                raise UserError(
                    f"weights: {published} of {facts.name} are downloaded once from "
                    f"{facts.url or facts.hub}",
                    f"{type(error).__name__}: {told[0][:160] if told else ''}",
                    f"on a machine with a network fetch that file and put it here as {path}; or "
                    "weights: FILE, or weights: none",
                ) from error
    return path


def _download(facts: BackboneFacts, path: Path) -> None:
    with write_aside(path) as aside:
        if facts.hub:
            from huggingface_hub import hf_hub_download

            cached = hf_hub_download(facts.hub, "model.safetensors")
            shutil.copyfile(cached, aside)
            return
        hashed = re.search(r"-([0-9a-f]{8,})\.", str(facts.url))  # torchvision's names hold it
        torch.hub.download_url_to_file(
            str(facts.url), str(aside), hashed.group(1) if hashed else None, progress=False
        )


def weights_hash(backbone: str, weights: str) -> str:
    """Return the SHA-256 of the file that ``weights`` means, ``none`` where there is none.

    Raises:
        UserError: see :func:`find_weights`.
    """
    return NO_WEIGHTS if weights == NO_WEIGHTS else file_hash(find_weights(backbone, weights))


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file; one that did not change is not read again."""
    facts = path.stat()
    return _hash_of(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=32)
def _hash_of(path: Path, size_bytes: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state(path: Path) -> State:
    """Return the weights of a file by their keys; no code of the file is run.

    What wraps them is taken off: ``state_dict`` or ``model`` around them, ``module.`` before each.

    Raises:
        UserError: when the file holds no weights that can be read so.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torn, foreign and harmful files raise what they like
        raise UserError(
            "a file of weights holds tensors by their keys and nothing that runs",
            f"{path}: {type(error).__name__}: {str(error).splitlines()[0][:160]}",
            "torch.save(model.state_dict(), FILE) or a .safetensors file makes one",
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise UserError(
            "a file of weights holds tensors by their keys",
            f"{path}: {type(content).__name__}",
            "torch.save(model.state_dict(), FILE) makes one",
        )
    prefix = "module." if content and all(key.startswith("module.") for key in content) else ""
    return {_DENSE_LAYER.sub(r"\1\2.", key.removeprefix(prefix)): content[key] for key in content}


def fitting_state(state: State, net: nn.Module, facts: BackboneFacts, input_size: int) -> State:
    """Return ``state`` for frames of ``input_size``: embeddings of places are resampled.

    Args:
        state: as published, for the size that the net was trained on.
        net: the net that will take it.
        facts: of the net.
        input_size: height and width of the frames.
    """
    if not facts.fixed_size:
        return state
    if facts.library == "timm":
        adapt = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
        return dict(adapt(dict(state), net)) if adapt is not None else state
    if not facts.name.startswith("vit_"):
        return state
    from torchvision.models.vision_transformer import interpolate_embeddings

    patch = net.get_parameter("conv_proj.weight").shape[-1]
    resampled: State = interpolate_embeddings(input_size, patch, dict(state))
    return resampled


def load_state(net: nn.Module, state: State, *, source: str, without: Sequence[str] = ()) -> None:
    """Put ``state`` into ``net`` where every key fits.

    Args:
        net: changed in place.
        state: weights by key.
        source: what to call them in messages.
        without: beginnings of the keys that are left out, as those of a classifier.

    Raises:
        UserErrors: naming missing keys, extra keys and wrong shapes, all at once; ``net`` is then
            as it was.
    """
    wanted = net.state_dict()
    given = {
        key: value
        for key, value in state.items()
        if key in wanted or not key.startswith(tuple(without))
    }
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing = [key for key in wanted if key not in given and key not in counters]
    extra = [key for key in given if key not in wanted]
    wrong = [
        f"{key} {list(given[key].shape)} for {list(wanted[key].shape)}"
        for key in given
        if key in wanted and given[key].shape != wanted[key].shape
    ]
    remedy = "the file of this very net; `backbone` names it"
    raise_collected(
        [
            UserError(rule, f"{source}: {_listed(keys)}", remedy)
            for rule, keys in (
                ("weights have every key of the net", missing),
                ("weights have no key that the net has not", extra),
                ("weights have the net's shapes", wrong),
            )
            if keys
        ]
    )
    net.load_state_dict({**{key: wanted[key] for key in counters}, **given})


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more

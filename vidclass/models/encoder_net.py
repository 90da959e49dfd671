"""The net of an encoder: built or read by transformers, its tokens averaged over a grid of places.

Legend: B clips, T frames, C channels, H height, W width, S steps of time, D units of a token,
g side of the grid of places, E = g * g * D features of a step.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name
from torch import nn

from vidclass.errors import UserError, raise_collected
from vidclass.models.encoders_library import CONFIG, STATE, encoder_facts, encoder_folder
from vidclass.models.pretrained import NO_WEIGHTS, file_hash
from vidclass.models.tuning import Freeze, Tuned

__all__ = ["Encoder", "grid_of", "pooling_of"]

NOT_THE_ENCODER = ("predictor.", "embeddings.mask_token", "mask_token")
"""Keys of a file, or of transformers' nets, that no feature depends on."""


def pooling_of(grid: int) -> str:
    """Return how a source of features names the averaging of tokens to a grid of places."""
    return f"grid {grid}"


def grid_of(pooling: str) -> int:
    """Return the side of that grid."""
    return int(pooling.removeprefix("grid "))


def _transformers() -> Any:
    """Return transformers.

    Raises:
        UserError: when it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            "encoders come from the package transformers (extra `models`)",
            f"{type(error).__name__}: {error}",
            "pip install 'vidclass[models]'; or an arm with a `backbone`, which needs none",
        ) from None
    return transformers


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep a library's bars and tables of keys to itself: what matters of them is told here."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


class Encoder(Tuned):
    """An encoder without its decoder, predictor and classifier, its tokens averaged over places.

    ``x_BTCHW -> f_BSE`` of one that takes clips, where S = T / 2 for all that are published;
    ``x_bCHW -> f_bE`` of one that takes frames.

    Args:
        name: of an encoder.
        weights: ``published`` or ``none``.
        num_frames: frames of a clip (T); 1 where it takes frames.
        input_size: height and width of a frame.
        grid: side of the grid of places that is left of the tokens of a step (g).
        freeze: what of it is trained.
        last_layers: how many layers ``freeze: last`` trains.
    """

    def __init__(
        self,
        name: str,
        weights: str,
        *,
        num_frames: int,
        input_size: int,
        grid: int,
        freeze: Freeze = "frozen",
        last_layers: int = 1,
    ) -> None:
        self.facts = encoder_facts(name)
        self.num_frames = num_frames
        self.input_size = input_size
        self.grid = grid
        super().__init__(random=weights == NO_WEIGHTS, freeze=freeze, last_layers=last_layers)

    def _config(self, transformers: Any) -> Any:
        facts = self.facts
        sizes = {
            "videomae": {"image_size": self.input_size, "num_frames": self.num_frames},
            "vjepa2": {"crop_size": self.input_size, "frames_per_clip": self.num_frames},
        }.get(facts.model_type, {})
        return transformers.AutoConfig.for_model(facts.model_type, **{**facts.config, **sizes})

    def _random_net(self) -> nn.Module:
        transformers = _transformers()
        with _quiet(transformers):
            net = transformers.AutoModel.from_config(self._config(transformers))
        return _encoder_alone(net)

    def _load(self) -> None:
        folder = encoder_folder(self.facts.name)
        self.weights_sha256 = file_hash(folder / STATE)
        transformers = _transformers()
        try:
            # safetensors alone: a file of weights must not run code.
            with _quiet(transformers):
                net, found = transformers.AutoModel.from_pretrained(
                    folder,
                    config=self._config(transformers),
                    output_loading_info=True,
                    use_safetensors=True,
                    local_files_only=True,
                    ignore_mismatched_sizes=True,
                )
        except Exception as error:  # noqa: BLE001 - torn and foreign files raise what they like
            raise UserError(
                "the weights of an encoder can be read",
                f"{folder}: {type(error).__name__}: {str(error).splitlines()[0][:160]}",
                f"{CONFIG} and {STATE} as they are published, unchanged",
            ) from error
        _check_keys(found, folder)
        self.net.load_state_dict(_encoder_alone(net).state_dict())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``f_BSE`` of clips, or ``f_bE`` of frames."""
        facts, side = self.facts, self.input_size // self.facts.patch
        tokens_BND: torch.Tensor = self.net(x)[0]
        num_steps = self.num_frames // facts.tubelet
        places = num_steps * side * side
        tokens_BND = tokens_BND[:, tokens_BND.shape[1] - places :]  # class and register tokens lead
        maps_bDhw = tokens_BND.reshape(-1, side, side, facts.width).permute(0, 3, 1, 2)
        pooled_bDgg = F.adaptive_avg_pool2d(maps_bDhw, self.grid)
        f_bE = pooled_bDgg.permute(0, 2, 3, 1).flatten(1)
        return f_bE.view(-1, num_steps, f_bE.shape[1]) if facts.kind == "clips" else f_bE


def _encoder_alone(net: nn.Module) -> nn.Module:
    """Return the part of a net that encodes: V-JEPA 2 has a predictor behind it."""
    return net.encoder if hasattr(net, "predictor") else net  # type: ignore[return-value]


def _check_keys(found: Mapping[str, Any], folder: Path) -> None:
    """Refuse weights that leave a part of the encoder at random.

    Raises:
        UserErrors: naming missing keys and wrong shapes.
    """
    missing = sorted(k for k in found["missing_keys"] if not k.startswith(NOT_THE_ENCODER))
    wrong = sorted(str(item[0]) for item in found["mismatched_keys"])
    raise_collected(
        [
            UserError(
                rule,
                f"{folder}: {len(keys)}, first {', '.join(keys[:5])}",
                f"{CONFIG} and {STATE} of the same net; input_size and num_frames as published",
            )
            for rule, keys in (
                ("weights have every key of the encoder", missing),
                ("weights have the encoder's shapes", wrong),
            )
            if keys
        ]
    )

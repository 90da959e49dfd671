"""A small video transformer that learns from unlabelled clips by filling in what was hidden.

    clip -> tubelets -> encoder on those that are seen -> decoder on all -> pixels   pretrain_loss
            tubelets -> encoder on all -> mean -> classes                            forward

A tubelet is a block of frames and pixels. The mask is a tube: the same places at all times, so that
no frame gives another away (VideoMAE; Tong et al., 2022).

Legend: B clips, T frames, C channels, H height, W width, N tubelets, S seen ones, D features of a
token, P pixels of a tubelet, K classes.
"""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from vidclass.errors import UserError
from vidclass.models.registry import NUM_COLOURS, ModelOptions, check_clips, register_model

__all__ = ["MaskedOptions", "MaskedTransformer", "masked_transformer", "place_embedding"]

QUICK = {
    "input_size": 16,
    "window_frames": 4,
    "patch_size": 8,
    "num_features": 24,
    "num_layers": 2,
    "num_heads": 2,
}
TINY = 1e-6


class MaskedOptions(ModelOptions):
    """Options of the masked video transformer."""

    input_size: int = Field(112, ge=1, le=4096)
    """Height and width of a frame, pixels; patch_size divides it."""
    window_frames: int = Field(16, ge=1, le=1024)
    """Frames of the study's window; the model sees all of them, and tubelet_frames divides them."""
    patch_size: int = Field(16, ge=1, le=64)
    """Height and width of a tubelet, pixels."""
    tubelet_frames: int = Field(2, ge=1, le=16)
    """Frames of a tubelet."""
    num_features: int = Field(192, ge=6, le=2048)
    """Length of a token; 2 x num_heads divides it."""
    num_layers: int = Field(6, ge=1, le=48)
    """Layers of the encoder."""
    num_heads: int = Field(3, ge=1, le=32)
    """Heads of attention."""
    mask_share: float = Field(0.9, gt=0.0, lt=1.0)
    """Share of the places that pretraining hides."""
    decoder_layers: int = Field(2, ge=1, le=16)
    """Layers of the decoder, half as wide as the encoder."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the features before the classifier that training leaves out."""

    @model_validator(mode="after")
    def _tubelets_fill_the_clip(self) -> Self:
        if self.window_frames % self.tubelet_frames or self.input_size % self.patch_size:
            raise UserError(
                "tubelets fill the clip",
                f"{self.window_frames} frames of {self.input_size} pixels in tubelets of "
                f"{self.tubelet_frames} frames of {self.patch_size} pixels",
                "a tubelet_frames that divides window_frames, a patch_size that divides input_size",
            )
        if self.num_places < 2:
            raise UserError(
                "some places are hidden and some seen",
                f"one place of {self.patch_size} pixels",
                "a smaller patch_size",
            )
        if self.num_features % (2 * self.num_heads):
            raise UserError(
                "heads share a token of even length",
                f"num_features {self.num_features}, num_heads {self.num_heads}",
                f"a num_features that {2 * self.num_heads} divides",
            )
        return self

    @property
    def num_places(self) -> int:
        """Places of a frame that a tubelet covers."""
        return (self.input_size // self.patch_size) ** 2

    @property
    def num_times(self) -> int:
        """Tubelets one after the other."""
        return self.window_frames // self.tubelet_frames


def place_embedding(num_times: int, side: int, num_features: int) -> torch.Tensor:
    """Return sines and cosines of time, row and column of each tubelet, ``[N, D]``.

    Time, row and column have a third of the features each; what a third cannot hold stays 0.
    """
    third = num_features // 6 * 2
    at_NA = torch.cartesian_prod(
        torch.arange(num_times), torch.arange(side), torch.arange(side)
    ).float()
    rate = 10_000.0 ** (-torch.arange(0, third, 2) / max(third, 1))
    angle_NAR = at_NA[:, :, None] * rate
    waves_NAR = torch.cat([angle_NAR.sin(), angle_NAR.cos()], dim=2)
    return F.pad(waves_NAR.flatten(1), (0, num_features - 3 * third))


class Attention(nn.Module):
    """Self-attention over tokens: ``x_BND -> x_BND``."""

    def __init__(self, num_features: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.of_token = nn.Linear(num_features, 3 * num_features)
        self.out = nn.Linear(num_features, num_features)

    def forward(self, x_BND: torch.Tensor) -> torch.Tensor:
        """Return what each token gathers from all."""
        parts = self.of_token(x_BND).unflatten(2, (3, self.num_heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        heads_BHND = F.scaled_dot_product_attention(query, key, value)
        gathered_BND: torch.Tensor = self.out(heads_BHND.transpose(1, 2).flatten(2))
        return gathered_BND


class Layer(nn.Module):
    """Attention and a dense part, each added to the tokens, norms before them."""

    def __init__(self, num_features: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(num_features)
        self.attention = Attention(num_features, num_heads)
        self.norm2 = nn.LayerNorm(num_features)
        self.dense = nn.Sequential(
            nn.Linear(num_features, 4 * num_features),
            nn.GELU(),
            nn.Linear(4 * num_features, num_features),
        )

    def forward(self, x_BND: torch.Tensor) -> torch.Tensor:
        """Return the tokens."""
        x_BND = x_BND + self.attention(self.norm1(x_BND))
        tokens_BND: torch.Tensor = x_BND + self.dense(self.norm2(x_BND))
        return tokens_BND


class HiddenToken(nn.Module):
    """What stands for every tubelet that is not seen."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.token_D = nn.Parameter(torch.empty(num_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw it anew."""
        nn.init.normal_(self.token_D, std=0.02)


class Decoder(nn.Module):
    """From the tokens of seen tubelets to the pixels of all: ``x_BSD -> x_BNP``."""

    def __init__(self, options: MaskedOptions, num_pixels: int) -> None:
        super().__init__()
        width = options.num_features // 2
        heads = max(1, options.num_heads // 2)
        heads = heads if width % heads == 0 else 1
        self.enter = nn.Linear(options.num_features, width)
        self.hidden = HiddenToken(width)
        side = options.input_size // options.patch_size
        self.register_buffer(
            "places_ND", place_embedding(options.num_times, side, width), persistent=False
        )
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(options.decoder_layers)))
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Linear(width, num_pixels)

    places_ND: torch.Tensor

    def forward(self, x_BSD: torch.Tensor, seen_S: torch.Tensor) -> torch.Tensor:
        """Return the pixels of all tubelets, from those numbered ``seen_S``."""
        entered_BSD = self.enter(x_BSD)
        tokens_BND = self.hidden.token_D.to(entered_BSD.dtype).expand(
            len(x_BSD), len(self.places_ND), -1
        )
        tokens_BND = tokens_BND.index_copy(1, seen_S, entered_BSD) + self.places_ND
        pixels_BNP: torch.Tensor = self.pixels(self.norm(self.layers(tokens_BND)))
        return pixels_BNP


class MaskedTransformer(nn.Module):
    """The encoder with its classifier, and a decoder that only pretraining uses."""

    places_ND: torch.Tensor

    def __init__(self, num_classes: int, options: MaskedOptions) -> None:
        super().__init__()
        self.options = options
        width = options.num_features
        block = (options.tubelet_frames, options.patch_size, options.patch_size)
        side = options.input_size // options.patch_size
        self.enter = nn.Conv3d(NUM_COLOURS, width, block, block)
        self.register_buffer(
            "places_ND", place_embedding(options.num_times, side, width), persistent=False
        )
        self.encoder = nn.Sequential(
            *(Layer(width, options.num_heads) for _ in range(options.num_layers)),
            nn.LayerNorm(width),
        )
        num_pixels = NUM_COLOURS * options.tubelet_frames * options.patch_size**2
        self.decoder = Decoder(options, num_pixels)
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(width, num_classes)

    def tokens(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return a token with its place for every tubelet, ``x_BND``."""
        options = self.options
        check_clips(x_BTCHW, num_frames=options.window_frames, input_size=options.input_size)
        maps_BDTHW = self.enter(x_BTCHW.transpose(1, 2))
        tokens_BND: torch.Tensor = maps_BDTHW.flatten(2).transpose(1, 2) + self.places_ND
        return tokens_BND

    def pretrain_loss(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error over the pixels of hidden tubelets.

        Each tubelet's pixels are first brought to mean 0 and variance 1, so that contrast does not
        outweigh structure.
        """
        seen_S, hidden_N = self._tube(x_BTCHW.device)
        tokens_BND = self.tokens(x_BTCHW)
        pixels_BNP = self.decoder(self.encoder(tokens_BND[:, seen_S]), seen_S)
        wanted_BNP = self.tubelets(x_BTCHW)
        mean = wanted_BNP.mean(dim=2, keepdim=True)
        variance = wanted_BNP.var(dim=2, keepdim=True, correction=0)
        wanted_BNP = (wanted_BNP - mean) / (variance + TINY).sqrt()
        return F.mse_loss(pixels_BNP[:, hidden_N].float(), wanted_BNP[:, hidden_N])

    def tubelets(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return the pixels of each tubelet, ``[B, N, P]``, in the order of the tokens."""
        options, patch = self.options, self.options.patch_size
        side = options.input_size // patch
        blocks = x_BTCHW.reshape(
            len(x_BTCHW),
            options.num_times,
            options.tubelet_frames,
            NUM_COLOURS,
            side,
            patch,
            side,
            patch,
        )
        # B, time, frame, C, row, y, column, x -> B, time, row, column, frame, y, x, C
        return blocks.permute(0, 1, 4, 6, 2, 5, 7, 3).flatten(1, 3).flatten(2)

    def _tube(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw a mask; return the numbers of seen tubelets and of hidden ones."""
        num_places = self.options.num_places
        num_hidden = min(max(1, round(self.options.mask_share * num_places)), num_places - 1)
        order_P = torch.randperm(num_places)
        times_T1 = torch.arange(self.options.num_times)[:, None] * num_places
        hidden_N = (times_T1 + order_P[:num_hidden].sort().values).flatten()
        seen_S = (times_T1 + order_P[num_hidden:].sort().values).flatten()
        return seen_S.to(device), hidden_N.to(device)

    def features(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return the mean token, ``f_BD``."""
        encoded_BND: torch.Tensor = self.encoder(self.tokens(x_BTCHW))
        return encoded_BND.mean(dim=1)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        logits_BK: torch.Tensor = self.classifier(self.dropout(self.features(x_BTCHW)))
        return logits_BK


@register_model(
    "masked_transformer",
    options=MaskedOptions,
    uses_order=True,
    quick_options=QUICK,
    pretrains=True,
)
def masked_transformer(num_classes: int, options: MaskedOptions) -> nn.Module:
    """Video transformer that can learn first by filling in hidden parts of clips."""
    return MaskedTransformer(num_classes, options)

"""Autoencoders: nets that learn from videos without labels, and classify by what they learned.

    frames -> encoder -> code -> decoder -> frames       pretrain_loss: mean squared error
                          |
                         dense -> classes                forward

    convlstm_autoencoder  encoder as `convlstm`; code a ConvLSTM of 8 channels between two more on
                          each side (64 32 [8] 32 64), or of 32 between one (64 [32] 64)
    frame_autoencoder     each frame by itself; code a convolution

The code is the module `code`: its output is what latent plots show, ``[B, T, code, H/8, W/8]``.

Legend: B clips, T frames, C channels, H height, W width, F channels of the code, K classes.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from vidclass.models.convlstm import (
    FRAME_CHANNELS,
    QUICK,
    SHARES,
    EncoderOptions,
    FrameEncoder,
    OnEachFrame,
    recurrent_stack,
)
from vidclass.models.greyscale import to_input_channels
from vidclass.models.norms import ChannelLayerNorm
from vidclass.models.registry import check_clips, register_model

__all__ = [
    "Autoencoder",
    "ConvLstmAutoencoderOptions",
    "FrameAutoencoderOptions",
    "convlstm_autoencoder",
    "frame_autoencoder",
]

AROUND_CODE = {8: (64, 32), 32: (64,)}
"""ConvLSTM layers before a code of so many channels; after it they come in reverse."""


class ConvLstmAutoencoderOptions(EncoderOptions):
    """Options of the ConvLSTM autoencoder."""

    code_channels: Literal[8, 32] = 8
    """Channels of the code: 8 between two ConvLSTM layers on each side, or 32 between one."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the code that training the classifier leaves out."""


class FrameAutoencoderOptions(EncoderOptions):
    """Options of the autoencoder of single frames."""

    code_channels: int = Field(8, ge=1, le=1024)
    """Channels of the code."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the code that training the classifier leaves out."""


class Autoencoder(nn.Module):
    """Encoder, code and decoder over clips, with a classifier on the code.

    Args:
        code: ``x_BTCHW -> code_BTFHW``, from the frame encoder's maps.
        after_code: ``code_BTFHW -> x_BTCHW``, to the frame decoder's input.
        code_channels: channels of the code (F).
        over_frames: whether the classifier sees the mean code of all frames, or the last one's.
        num_classes: classes (K).
        options: form of the clips, width.
    """

    def __init__(
        self,
        code: nn.Module,
        after_code: nn.Module,
        code_channels: int,
        *,
        over_frames: bool,
        num_classes: int,
        options: ConvLstmAutoencoderOptions | FrameAutoencoderOptions,
    ) -> None:
        super().__init__()
        self.num_frames = options.window_frames
        self.input_size = options.input_size
        self.greyscale = options.greyscale
        self.over_frames = over_frames
        self.encoder = FrameEncoder(options)
        self.code = code
        self.after_code = after_code
        self.decoder = _frame_decoder(options)
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(code_channels * options.map_size**2, num_classes)

    def codes(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return the code of every frame, ``code_BTFHW``."""
        check_clips(x_BTCHW, num_frames=self.num_frames, input_size=self.input_size)
        x_BTCHW = to_input_channels(x_BTCHW, greyscale=self.greyscale)
        code_BTFHW: torch.Tensor = self.code(self.encoder(x_BTCHW))
        return code_BTFHW

    def reconstruct(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return the clips as the code holds them, from 0 to 1."""
        seen_BTCHW: torch.Tensor = self.decoder(self.after_code(self.codes(x_BTCHW)))
        return seen_BTCHW

    def pretrain_loss(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error of the reconstruction, over all pixels."""
        wanted_BTCHW = to_input_channels(x_BTCHW, greyscale=self.greyscale)
        return F.mse_loss(self.reconstruct(x_BTCHW), wanted_BTCHW)

    def features(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return what the classifier sees: a code, flattened."""
        code_BTFHW = self.codes(x_BTCHW)
        chosen_BFHW = code_BTFHW.mean(dim=1) if self.over_frames else code_BTFHW[:, -1]
        return chosen_BFHW.flatten(1)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        logits_BK: torch.Tensor = self.classifier(self.dropout(self.features(x_BTCHW)))
        return logits_BK


def _frame_decoder(options: EncoderOptions) -> OnEachFrame:
    """Return the frame encoder backwards, from maps to frames between 0 and 1."""
    first, second = (options.channels(count) for count in FRAME_CHANNELS)
    return OnEachFrame(
        nn.ConvTranspose2d(second, second, 5, 2, 2, output_padding=1),
        ChannelLayerNorm(second),
        nn.ConvTranspose2d(second, first, 11, 4, 5, output_padding=3),
        ChannelLayerNorm(first),
        nn.Conv2d(first, options.in_channels, 11, padding=5),
        nn.Sigmoid(),
    )


@register_model(
    "convlstm_autoencoder",
    options=ConvLstmAutoencoderOptions,
    uses_order=True,
    normalisation=SHARES,
    quick_options=QUICK,
    pretrains=True,
)
def convlstm_autoencoder(num_classes: int, options: ConvLstmAutoencoderOptions) -> nn.Module:
    """ConvLSTM autoencoder: learns from unlabelled clips, classifies by its code."""
    around = tuple(options.channels(count) for count in AROUND_CODE[options.code_channels])
    code = options.channels(options.code_channels)
    return Autoencoder(
        recurrent_stack(options.channels(FRAME_CHANNELS[-1]), (*around, code)),
        recurrent_stack(code, around[::-1]),
        code,
        over_frames=False,
        num_classes=num_classes,
        options=options,
    )


@register_model(
    "frame_autoencoder",
    options=FrameAutoencoderOptions,
    uses_order=False,
    normalisation=SHARES,
    quick_options=QUICK,
    pretrains=True,
)
def frame_autoencoder(num_classes: int, options: FrameAutoencoderOptions) -> nn.Module:
    """Autoencoder of single frames: learns from unlabelled ones, averages their codes."""
    maps, code = options.channels(FRAME_CHANNELS[-1]), options.code_channels
    return Autoencoder(
        OnEachFrame(nn.ReLU(inplace=True), nn.Conv2d(maps, code, 3, padding=1)),
        OnEachFrame(nn.Conv2d(code, maps, 3, padding=1), nn.ReLU(inplace=True)),
        code,
        over_frames=True,
        num_classes=num_classes,
        options=options,
    )

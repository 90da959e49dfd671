"""Attention over the features of frames: LSTM with self-attention, and a Transformer encoder.

Legend: B clips, T frames, S steps, D features, W width, h heads, K classes.
"""

from typing import Any, Self

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name
from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.backbones import (
    QUICK,
    BackboneOptions,
    feature_source,
    normalisation_of,
    on_backbone,
)
from vidclass.models.fusion import SpreadOptions, even_positions
from vidclass.models.recurrent import run_recurrent
from vidclass.models.registry import register_model

__all__ = [
    "AttentionOptions",
    "LstmAttention",
    "SelfAttention",
    "TemporalTransformer",
    "TransformerOptions",
    "lstm_attention",
    "temporal_transformer",
]

POSITION_STD = 0.02  # of the start of learned positions, as in published Transformers


class AttentionOptions(BackboneOptions, SpreadOptions):
    """Options of LSTM with self-attention."""

    num_frames: int = Field(8, ge=2)
    """Frames that are seen, evenly spaced over the whole window."""
    units: int = Field(128, ge=1, le=8192)
    """Units of each LSTM layer, in each direction."""
    num_layers: int = Field(1, ge=1, le=3)
    """LSTM layers, stacked."""
    bidirectional: bool = False
    """Whether the LSTM also runs from the last frame to the first."""
    num_heads: int = Field(4, ge=1, le=64)
    """Heads of the attention, which share the LSTM's outputs."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of units left out in training, before the attention and before the classes."""

    @model_validator(mode="after")
    def _heads_share_units(self) -> Self:
        _check_heads(self.num_heads, self.width)
        return self

    @property
    def width(self) -> int:
        """Outputs of the LSTM at a step."""
        return self.units * (2 if self.bidirectional else 1)


class TransformerOptions(BackboneOptions, SpreadOptions):
    """Options of the temporal Transformer."""

    num_frames: int = Field(8, ge=2)
    """Frames that are seen, evenly spaced over the whole window."""
    width: int = Field(128, ge=1, le=8192)
    """Units of a step, to which the features are mapped first."""
    num_layers: int = Field(2, ge=1, le=24)
    """Blocks of attention and dense layers."""
    num_heads: int = Field(4, ge=1, le=64)
    """Heads of the attention, which share the width."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of units left out in training: of the steps, in every block and before the classes."""

    @model_validator(mode="after")
    def _heads_share_width(self) -> Self:
        _check_heads(self.num_heads, self.width)
        return self


def _check_heads(num_heads: int, width: int) -> None:
    if width % num_heads:
        raise UserError(
            "the heads of an attention share its units evenly",
            f"{width} units, num_heads {num_heads}",
            f"a num_heads that divides {width}",
        )


class SelfAttention(nn.Module):
    """Every step looks at every step (Vaswani et al., 2017): ``x_BSW -> y_BSW``."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        # Linear layers, not nn.MultiheadAttention: its weights escape a reset of all layers.
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def _heads(self, x_BSW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, keys and values, each ``[B, h, S, W / h]``."""
        batch, steps, _ = x_BSW.shape
        joined = self.inputs(x_BSW).view(batch, steps, 3, self.num_heads, -1)
        query_BhSw, key_BhSw, value_BhSw = joined.permute(2, 0, 3, 1, 4).unbind(0)
        return query_BhSw, key_BhSw, value_BhSw

    def forward(self, x_BSW: torch.Tensor) -> torch.Tensor:
        """Return what each step makes of all steps."""
        seen_BhSw = F.scaled_dot_product_attention(*self._heads(x_BSW))
        y_BSW: torch.Tensor = self.output(seen_BhSw.transpose(1, 2).flatten(2))
        return y_BSW

    def weights(self, x_BSW: torch.Tensor) -> torch.Tensor:
        """Return how much each step looks at each: ``[B, S, S]``, rows sum to 1, mean of heads."""
        query_BhSw, key_BhSw, _ = self._heads(x_BSW)
        scores_BhSS = query_BhSw @ key_BhSw.transpose(2, 3) / query_BhSw.shape[3] ** 0.5
        weights_BSS: torch.Tensor = scores_BhSS.softmax(dim=3).mean(dim=1)
        return weights_BSS


class LstmAttention(nn.Module):
    """LSTM, self-attention over its steps, mean over steps, classes: ``f_BTD -> logits_BK``."""

    def __init__(self, num_features: int, num_classes: int, options: AttentionOptions) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            num_features,
            options.units,
            options.num_layers,
            batch_first=True,
            dropout=options.dropout if options.num_layers > 1 else 0.0,
            bidirectional=options.bidirectional,
        )
        self.dropout = nn.Dropout(options.dropout)
        self.attention = SelfAttention(options.width, options.num_heads)
        self.classes = nn.Linear(options.width, num_classes)

    def _steps(self, f_BTD: torch.Tensor) -> torch.Tensor:
        steps_BTW: torch.Tensor = self.dropout(run_recurrent(self.lstm, f_BTD))
        return steps_BTW

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        seen_BTW = self.attention(self._steps(f_BTD))
        logits_BK: torch.Tensor = self.classes(self.dropout(seen_BTW.mean(dim=1)))
        return logits_BK

    def attention_weights(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return how much each frame looks at each, for plots: ``[B, T, T]``, rows sum to 1.

        Args:
            f_BTD: the features of frames; ``model.features(inputs)`` gives them for any input.
        """
        return self.attention.weights(self._steps(f_BTD))


class _Places(nn.Module):
    """A class token in front, and a learned vector added to each step: ``x_BTW -> x_BSW``."""

    def __init__(self, num_frames: int, width: int) -> None:
        super().__init__()
        self.token_W = nn.Parameter(torch.empty(width))
        self.places_SW = nn.Parameter(torch.empty(1 + num_frames, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both anew."""
        nn.init.normal_(self.token_W, std=POSITION_STD)
        nn.init.normal_(self.places_SW, std=POSITION_STD)

    def forward(self, x_BTW: torch.Tensor) -> torch.Tensor:
        """Return the token and the steps, each in its place."""
        token_B1W = self.token_W.expand(x_BTW.shape[0], 1, -1)
        return torch.cat([token_B1W, x_BTW], dim=1) + self.places_SW


class _Block(nn.Module):
    """Attention and two dense layers, each beside a way round: ``x_BSW -> x_BSW``."""

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        width = options.width
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, options.num_heads)
        self.dense = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(options.dropout),
            nn.Linear(4 * width, width),
        )
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, x_BSW: torch.Tensor) -> torch.Tensor:
        """Return the steps after the block."""
        x_BSW = x_BSW + self.dropout(self.attention(self.norm_1(x_BSW)))
        done_BSW: torch.Tensor = x_BSW + self.dropout(self.dense(self.norm_2(x_BSW)))
        return done_BSW


class TemporalTransformer(nn.Module):
    """A Transformer encoder over frames, read at a class token: ``f_BTD -> logits_BK``."""

    def __init__(self, num_features: int, num_classes: int, options: TransformerOptions) -> None:
        super().__init__()
        self.inputs = nn.Linear(num_features, options.width)
        self.places = _Places(options.num_frames, options.width)
        self.dropout = nn.Dropout(options.dropout)
        self.blocks = nn.Sequential(*(_Block(options) for _ in range(options.num_layers)))
        self.norm = nn.LayerNorm(options.width)
        self.classes = nn.Linear(options.width, num_classes)

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        x_BSW = self.blocks(self.dropout(self.places(self.inputs(f_BTD))))
        logits_BK: torch.Tensor = self.classes(self.dropout(self.norm(x_BSW[:, 0])))
        return logits_BK


_ENTRY: dict[str, Any] = {
    "uses_order": True,
    "frame_positions": even_positions,
    "normalisation": normalisation_of,
    "features": feature_source,
}


@register_model(
    "lstm_attention", options=AttentionOptions, quick_options={**QUICK, "units": 16}, **_ENTRY
)
def lstm_attention(num_classes: int, options: AttentionOptions) -> nn.Module:
    """LSTM over the features of frames, then self-attention over its steps."""
    return on_backbone(
        options, options.num_frames, lambda size: LstmAttention(size, num_classes, options)
    )


@register_model(
    "temporal_transformer",
    options=TransformerOptions,
    quick_options={**QUICK, "width": 16},
    **_ENTRY,
)
def temporal_transformer(num_classes: int, options: TransformerOptions) -> nn.Module:
    """A Transformer encoder over the features of frames."""
    return on_backbone(
        options, options.num_frames, lambda size: TemporalTransformer(size, num_classes, options)
    )

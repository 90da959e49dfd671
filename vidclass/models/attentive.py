"""The attentive probe: a learned query that attends over the features of frames or clips.

Head of the V-JEPA papers (Bardes et al., 2024; Assran et al., 2025) on encoders that stay frozen:
blocks of self-attention over all tokens (none in the first paper, three in the second), then one of
cross-attention from one query, then the classes.

Legend: B clips, T steps, P places of a step, N = T * P tokens, D features of a token, W width,
h heads, K classes.
"""

from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name
from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.registry import ModelOptions
from vidclass.models.temporal import POSITION_STD, SelfAttention

__all__ = ["AttentionBlock", "AttentiveHead", "AttentiveOptions"]

MLP_RATIO = 4


class AttentiveOptions(ModelOptions):
    """Options of the head."""

    width: int = Field(256, ge=8, le=8192)
    """Units of a token inside the head, to which the features are mapped first."""
    num_heads: int = Field(8, ge=1, le=64)
    """Heads of the attention, which share the width."""
    num_layers: int = Field(0, ge=0, le=12)
    """Blocks of self-attention over all tokens before the query: V-JEPA has none, V-JEPA 2 three
    of them."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of units left out in training, in every block and before the classes."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.num_heads:
            raise UserError(
                "the heads of an attention share its units evenly",
                f"width {self.width}, num_heads {self.num_heads}",
                f"a num_heads that divides {self.width}",
            )
        return self


def _dense(width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, MLP_RATIO * width),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(MLP_RATIO * width, width),
    )


class AttentionBlock(nn.Module):
    """Every token looks at every token, then two dense layers: ``x_BNW -> x_BNW``."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, num_heads)
        self.dense = _dense(width, dropout)

    def forward(self, x_BNW: torch.Tensor) -> torch.Tensor:
        """Return the tokens after the block."""
        x_BNW = x_BNW + self.attention(self.norm_1(x_BNW))
        done_BNW: torch.Tensor = x_BNW + self.dense(self.norm_2(x_BNW))
        return done_BNW


class _QueryBlock(nn.Module):
    """One learned query looks at all tokens, then two dense layers: ``x_BNW -> read_BW``."""

    def __init__(self, options: AttentiveOptions) -> None:
        super().__init__()
        width = options.width
        self.num_heads = options.num_heads
        self.query_W = nn.Parameter(torch.empty(width))
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asks = nn.Linear(width, width)
        self.offers = nn.Linear(width, 2 * width)
        self.dense = _dense(width, options.dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the query anew."""
        nn.init.normal_(self.query_W, std=POSITION_STD)

    def _heads(self, x_BNW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return query ``[B, h, 1, W / h]``, keys and values ``[B, h, N, W / h]``."""
        batch, tokens, _ = x_BNW.shape
        joined = self.offers(self.norm_1(x_BNW)).view(batch, tokens, 2, self.num_heads, -1)
        key_BhNw, value_BhNw = joined.permute(2, 0, 3, 1, 4).unbind(0)
        query_h1w = self.asks(self.query_W).view(self.num_heads, 1, -1)
        return query_h1w.expand(batch, -1, -1, -1), key_BhNw, value_BhNw

    def forward(self, x_BNW: torch.Tensor) -> torch.Tensor:
        """Return what the query makes of the tokens."""
        seen_Bh1w = F.scaled_dot_product_attention(*self._heads(x_BNW))
        read_BW = self.query_W + seen_Bh1w.flatten(1)
        done_BW: torch.Tensor = read_BW + self.dense(self.norm_2(read_BW))
        return done_BW

    def weights(self, x_BNW: torch.Tensor) -> torch.Tensor:
        """Return how much the query looks at each token: ``[B, N]``, rows sum to 1."""
        query_Bh1w, key_BhNw, _ = self._heads(x_BNW)
        scores_Bh1N = query_Bh1w @ key_BhNw.transpose(2, 3) / query_Bh1w.shape[3] ** 0.5
        weights_BN: torch.Tensor = scores_Bh1N.softmax(dim=3).mean(dim=1)[:, 0]
        return weights_BN


class AttentiveHead(nn.Module):
    """The probe: ``f_BTE -> logits_BK``, where E is P tokens of D features side by side.

    Args:
        num_steps: steps of time (T).
        num_places: tokens of a step (P).
        num_features: length of a token (D).
        num_classes: classes (K).
        options: of the head.
    """

    def __init__(
        self,
        num_steps: int,
        num_places: int,
        num_features: int,
        num_classes: int,
        options: AttentiveOptions,
    ) -> None:
        super().__init__()
        self.num_places = num_places
        self.norm = nn.LayerNorm(num_features)  # encoders differ in scale by orders of magnitude
        self.inputs = nn.Linear(num_features, options.width)
        # Features of single frames do not tell when; those of clips get it twice, which costs
        # nothing.
        self.places_NW = nn.Parameter(torch.empty(num_steps * num_places, options.width))
        form = (options.width, options.num_heads, options.dropout)
        self.blocks = nn.Sequential(*(AttentionBlock(*form) for _ in range(options.num_layers)))
        self.query = _QueryBlock(options)
        self.dropout = nn.Dropout(options.dropout)
        self.classes = nn.Linear(options.width, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors of the places anew."""
        nn.init.normal_(self.places_NW, std=POSITION_STD)

    def _tokens(self, f_BTE: torch.Tensor) -> torch.Tensor:
        # Not len(f_BTE): an exported graph would take that for the one batch size there is.
        f_BND = f_BTE.reshape(f_BTE.shape[0], len(self.places_NW), -1)
        x_BNW: torch.Tensor = self.blocks(self.inputs(self.norm(f_BND)) + self.places_NW)
        return x_BNW

    def forward(self, f_BTE: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        logits_BK: torch.Tensor = self.classes(self.dropout(self.query(self._tokens(f_BTE))))
        return logits_BK

    def attention_weights(self, f_BTE: torch.Tensor) -> torch.Tensor:
        """Return how much each step and place is looked at, for plots: ``[B, T, P]``, sums to 1.

        Args:
            f_BTE: the features; ``model.features(inputs)`` gives them for any input.
        """
        weights_BN = self.query.weights(self._tokens(f_BTE))
        return weights_BN.view(len(f_BTE), -1, self.num_places)

"""Sequence models over long recordings: an answer at every step, from features of frames.

MS-TCN (Farha and Gall, 2019), temporal Gaussian mixture layers (Piergiovanni and Ryoo, 2019) and a
Transformer. They see stretches of recordings whose windows are labelled (`data.windows`) and answer
for each window at the frame that labels it, so that arms on single windows compare with them.

Legend: B stretches, S steps, D features, W width, C channels, L length of a kernel, M Gaussians,
R stages, K classes.
"""

from typing import Any, Literal, Self

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name
from pydantic import Field, model_validator
from torch import nn

from vidclass.data.sampling import FramePositions
from vidclass.errors import UserError
from vidclass.models.attentive import AttentionBlock
from vidclass.models.backbones import (
    QUICK,
    BackboneOptions,
    OnFeatures,
    feature_source,
    normalisation_of,
)
from vidclass.models.backbones_library import num_features
from vidclass.models.registry import register_model
from vidclass.models.temporal import POSITION_STD

__all__ = [
    "FramewiseOptions",
    "GaussianMixture",
    "MsTcn",
    "MsTcnOptions",
    "TgmOptions",
    "TransformerStepsOptions",
]


class FramewiseOptions(BackboneOptions):
    """Options of all models that answer at every step."""

    freeze: Literal["frozen"] = "frozen"
    """The backbone stays as it is: a stretch is far too long to run it in every step."""
    cache_features: Literal[True] = True
    """Features come from the feature store."""
    num_steps: int = Field(128, ge=4, le=8192)
    """Steps of a stretch that are seen at once; a step is as long as the stride of data.windows."""
    dropout: float = Field(0.3, ge=0.0, lt=1.0)
    """Share of units left out in training."""


class MsTcnOptions(FramewiseOptions):
    """Options of MS-TCN."""

    num_stages: int = Field(4, ge=1, le=10)
    """Stages; each but the first refines the answers of the one before."""
    num_layers: int = Field(10, ge=1, le=14)
    """Layers of a stage; layer n looks 2^n steps to both sides."""
    num_channels: int = Field(64, ge=1, le=1024)
    """Channels of all layers."""
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of units left out in training, in every layer."""
    smoothing: float = Field(0.15, ge=0.0, le=10.0)
    """Weight of the loss that keeps the answers of neighbouring steps alike; 0 is off."""
    between_stages: Literal["softmax", "sigmoid"] = "softmax"
    """What a stage makes of the answers before it: softmax where one class holds, sigmoid where
    several may."""


class TgmOptions(FramewiseOptions):
    """Options of temporal Gaussian mixture layers."""

    width: int = Field(128, ge=1, le=4096)
    """Units of a step, to which the features are mapped first."""
    num_layers: int = Field(3, ge=1, le=8)
    """Gaussian mixture layers."""
    num_channels: int = Field(8, ge=1, le=128)
    """Channels of each layer, every one as wide as a step."""
    num_gaussians: int = Field(16, ge=1, le=256)
    """Gaussians of a layer, of which its kernels are mixed."""
    kernel_size: int = Field(15, ge=3, le=511)
    """Steps that a kernel spans, an odd number."""

    @model_validator(mode="after")
    def _kernel_has_a_middle(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise UserError(
                "a kernel over time has a middle",
                f"kernel_size {self.kernel_size}",
                f"kernel_size: {self.kernel_size + 1}",
            )
        return self


class TransformerStepsOptions(FramewiseOptions):
    """Options of the Transformer over steps."""

    width: int = Field(128, ge=8, le=4096)
    """Units of a step, to which the features are mapped first."""
    num_layers: int = Field(2, ge=1, le=24)
    """Blocks of attention and dense layers."""
    num_heads: int = Field(4, ge=1, le=64)
    """Heads of the attention, which share the width."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.num_heads:
            raise UserError(
                "the heads of an attention share its units evenly",
                f"width {self.width}, num_heads {self.num_heads}",
                f"a num_heads that divides {self.width}",
            )
        return self


class _Dilated(nn.Module):
    """A dilated convolution over time beside a way round: ``x_BCS -> x_BCS``."""

    def __init__(self, num_channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.wide = nn.Conv1d(num_channels, num_channels, 3, padding=dilation, dilation=dilation)
        self.single = nn.Conv1d(num_channels, num_channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BCS: torch.Tensor) -> torch.Tensor:
        """Return the steps after the layer."""
        changed_BCS: torch.Tensor = self.dropout(self.single(self.wide(x_BCS).relu()))
        return x_BCS + changed_BCS


class _Stage(nn.Module):
    """One stage of MS-TCN: ``x_BDS -> logits_BKS``."""

    def __init__(self, num_inputs: int, num_classes: int, options: MsTcnOptions) -> None:
        super().__init__()
        channels = options.num_channels
        self.inputs = nn.Conv1d(num_inputs, channels, 1)
        self.layers = nn.Sequential(
            *(_Dilated(channels, 2**n, options.dropout) for n in range(options.num_layers))
        )
        self.classes = nn.Conv1d(channels, num_classes, 1)

    def forward(self, x_BDS: torch.Tensor) -> torch.Tensor:
        """Return the answers at every step."""
        logits_BKS: torch.Tensor = self.classes(self.layers(self.inputs(x_BDS)))
        return logits_BKS


class MsTcn(nn.Module):
    """Stages of dilated convolutions over time: ``f_BSD -> logits_BSK``."""

    def __init__(self, num_inputs: int, num_classes: int, options: MsTcnOptions) -> None:
        super().__init__()
        self.between = options.between_stages
        sizes = [num_inputs] + [num_classes] * (options.num_stages - 1)
        self.stages = nn.ModuleList(_Stage(size, num_classes, options) for size in sizes)

    def stage_logits(self, f_BSD: torch.Tensor) -> torch.Tensor:
        """Return the answers of all stages, ``logits_RBSK``."""
        x_BDS = f_BSD.transpose(1, 2)
        answers: list[torch.Tensor] = []
        for stage in self.stages:
            logits_BKS = stage(x_BDS)
            answers.append(logits_BKS.transpose(1, 2))
            x_BDS = logits_BKS.softmax(dim=1) if self.between == "softmax" else logits_BKS.sigmoid()
        return torch.stack(answers)

    def forward(self, f_BSD: torch.Tensor) -> torch.Tensor:
        """Return the answers of the last stage."""
        return self.stage_logits(f_BSD)[-1]


class GaussianMixture(nn.Module):
    """A convolution over time whose kernels are mixtures of few Gaussians: ``x_BCWS -> y_BOWS``.

    Each output channel has, for each input channel, a kernel that is a soft mixture of the layer's
    Gaussians; it runs over all W units of that channel alike, and a layer of single weights then
    joins the input channels.
    """

    def __init__(self, num_inputs: int, num_outputs: int, num_gaussians: int, length: int) -> None:
        super().__init__()
        self.num_inputs, self.num_outputs, self.length = num_inputs, num_outputs, length
        self.centres_M = nn.Parameter(torch.empty(num_gaussians))
        self.widths_M = nn.Parameter(torch.empty(num_gaussians))
        self.mixture_OIM = nn.Parameter(torch.empty(num_outputs, num_inputs, num_gaussians))
        self.join_OI = nn.Parameter(torch.empty(num_outputs, num_inputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw everything anew; the Gaussians lie spread over the kernel."""
        nn.init.uniform_(self.centres_M, -1.0, 1.0)
        nn.init.uniform_(self.widths_M, -1.0, 1.0)
        nn.init.normal_(self.mixture_OIM)
        nn.init.normal_(self.join_OI, mean=1 / self.num_inputs, std=0.5 / self.num_inputs)

    def kernels(self) -> torch.Tensor:
        """Return the kernels, ``[O, I, L]``; each sums to 1."""
        steps_L = torch.arange(self.length, device=self.centres_M.device, dtype=torch.float32)
        middle_M = (self.length - 1) / 2 * (self.centres_M.tanh() + 1)
        squares_ML = (steps_L - middle_M[:, None]).square()
        gaussians_ML = (-squares_ML / (2 * self.widths_M.exp().square()[:, None])).softmax(dim=1)
        return self.mixture_OIM.softmax(dim=2) @ gaussians_ML

    def forward(self, x_BIWS: torch.Tensor) -> torch.Tensor:
        """Return ``y_BOWS``, never negative."""
        batch, _, width, num_steps = x_BIWS.shape
        weights_OIL = self.kernels() * self.join_OI[:, :, None]
        # The units of a step are as good as other stretches: one kernel for all of them.
        x_bIS = x_BIWS.transpose(1, 2).reshape(batch * width, self.num_inputs, num_steps)
        y_bOS = F.conv1d(x_bIS, weights_OIL, padding=self.length // 2).relu()
        return y_bOS.view(batch, width, self.num_outputs, num_steps).transpose(1, 2)


class _Tgm(nn.Module):
    """Gaussian mixture layers, joined with the features themselves: ``f_BSD -> logits_BSK``."""

    def __init__(self, num_inputs: int, num_classes: int, options: TgmOptions) -> None:
        super().__init__()
        self.inputs = nn.Linear(num_inputs, options.width)
        sizes = [1] + [options.num_channels] * options.num_layers
        self.layers = nn.Sequential(
            *(
                GaussianMixture(inside, outside, options.num_gaussians, options.kernel_size)
                for inside, outside in zip(sizes, sizes[1:], strict=False)
            )
        )
        self.dropout = nn.Dropout(options.dropout)
        self.dense = nn.Linear((1 + options.num_channels) * options.width, options.width)
        self.classes = nn.Linear(options.width, num_classes)

    def forward(self, f_BSD: torch.Tensor) -> torch.Tensor:
        """Return the answers at every step."""
        x_BSW = self.inputs(f_BSD).relu()
        x_B1WS = x_BSW.transpose(1, 2)[:, None]
        seen_BCWS = torch.cat([x_B1WS, self.layers(x_B1WS)], dim=1)
        read_BSW = self.dense(self.dropout(seen_BCWS.flatten(1, 2).transpose(1, 2))).relu()
        logits_BSK: torch.Tensor = self.classes(self.dropout(read_BSW))
        return logits_BSK


class _TransformerSteps(nn.Module):
    """A Transformer encoder read at every step: ``f_BSD -> logits_BSK``."""

    def __init__(self, num_inputs: int, num_classes: int, options: TransformerStepsOptions) -> None:
        super().__init__()
        self.inputs = nn.Linear(num_inputs, options.width)
        self.places_SW = nn.Parameter(torch.empty(options.num_steps, options.width))
        form = (options.width, options.num_heads, options.dropout)
        self.blocks = nn.Sequential(*(AttentionBlock(*form) for _ in range(options.num_layers)))
        self.norm = nn.LayerNorm(options.width)
        self.dropout = nn.Dropout(options.dropout)
        self.classes = nn.Linear(options.width, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors of the places anew."""
        nn.init.normal_(self.places_SW, std=POSITION_STD)

    def forward(self, f_BSD: torch.Tensor) -> torch.Tensor:
        """Return the answers at every step."""
        x_BSW = self.blocks(self.inputs(f_BSD) + self.places_SW)
        logits_BSK: torch.Tensor = self.classes(self.dropout(self.norm(x_BSW)))
        return logits_BSK


class _OnRecording(OnFeatures):
    """A head that answers at every step; of several stages it tells those too."""

    def __init__(self, head: nn.Module, options: FramewiseOptions) -> None:
        size = num_features(options.backbone, options.input_size)
        super().__init__(head, num_frames=options.num_steps, num_features=size)
        self.smoothing = float(getattr(options, "smoothing", 0.0))

    def stage_logits(self, f_BSD: torch.Tensor) -> torch.Tensor:
        """Return the answers of all stages, ``logits_RBSK``."""
        f_BSD = self.features(f_BSD)
        if isinstance(self.head, MsTcn):
            return self.head.stage_logits(f_BSD)
        logits_BSK: torch.Tensor = self.head(f_BSD)
        return logits_BSK[None]


def _labelling_frame(window_frames: int, options: FramewiseOptions) -> FramePositions:
    """Return one frame: what a step shows of the recording."""
    return FramePositions((window_frames // 2,))


_ENTRY: dict[str, Any] = {
    "uses_order": True,
    "frame_positions": _labelling_frame,
    "normalisation": normalisation_of,
    "features": feature_source,
    "framewise": True,
}
_QUICK = {**QUICK, "num_steps": 16}


@register_model(
    "ms_tcn",
    options=MsTcnOptions,
    quick_options={**_QUICK, "num_stages": 2, "num_layers": 3, "num_channels": 8},
    **_ENTRY,
)
def ms_tcn(num_classes: int, options: MsTcnOptions) -> nn.Module:
    """MS-TCN: stages of dilated convolutions over a recording, an answer a step."""
    size = num_features(options.backbone, options.input_size)
    return _OnRecording(MsTcn(size, num_classes, options), options)


@register_model(
    "temporal_gaussian_mixture",
    options=TgmOptions,
    quick_options={**_QUICK, "width": 8, "num_channels": 2, "num_layers": 1, "kernel_size": 5},
    **_ENTRY,
)
def temporal_gaussian_mixture(num_classes: int, options: TgmOptions) -> nn.Module:
    """Mixtures of Gaussians as kernels over a recording, an answer a step."""
    size = num_features(options.backbone, options.input_size)
    return _OnRecording(_Tgm(size, num_classes, options), options)


@register_model(
    "recording_transformer",
    options=TransformerStepsOptions,
    quick_options={**_QUICK, "width": 16, "num_layers": 1},
    **_ENTRY,
)
def recording_transformer(num_classes: int, options: TransformerStepsOptions) -> nn.Module:
    """A Transformer over a recording, an answer a step."""
    size = num_features(options.backbone, options.input_size)
    return _OnRecording(_TransformerSteps(size, num_classes, options), options)

"""Transformers over volumes, through torchvision: MViT and Video Swin, in any width.

MViT: Fan et al. (2021), Li et al. (2022). Video Swin: Liu et al. (2022).

Legend: B clips, T frames, C channels, H height, W width, D features.
"""

import importlib
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.pretrained import NO_WEIGHTS
from vidclass.models.registry import register_model
from vidclass.models.video_library import load_video_weights, video_facts
from vidclass.models.video_net import PublishedOptions, VideoNet, published_trunk

__all__ = ["MvitOptions", "SwinOptions"]

MVIT_HEAD, SWIN_HEAD = 96, 32  # channels of a head
MVIT_STAGES = (1, 2, 11, 2)  # blocks
MVIT_KEY_STRIDES = (8, 4, 2, 1)
SWIN_WINDOW = [8, 7, 7]
SWIN_PATCH = [2, 4, 4]
SWIN_SIZES = {"t": (6, 3), "s": (18, 3), "b": (18, 4)}
"""Blocks of the third stage, and heads of the first."""


class TransformerOptions(PublishedOptions):
    """Options of both."""

    input_size: int = Field(224, ge=1, le=4096)
    """Height and width of a frame, pixels."""
    stochastic_depth: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of the clips for which training leaves out the last block; earlier ones have less."""


class SwinOptions(TransformerOptions):
    """Options of Video Swin."""

    size: Literal["t", "s", "b"] = "t"
    """Tiny, small or base: 12 blocks, 24, or 24 with a third more channels."""
    window_frames: int = Field(32, ge=1, le=1024)
    """Frames of the study's window; the model sees all of them."""


class MvitOptions(TransformerOptions):
    """Options of MViT."""

    version: Literal["v1_b", "v2_s"] = "v2_s"
    """The base model of the first paper, or the small one of the second, whose places are relative
    and whose pooled queries are added to what attention finds."""
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of the features before the classifier that training leaves out."""
    stochastic_depth: float = Field(0.2, ge=0.0, lt=1.0)
    """Share of the clips for which training leaves out the last block; earlier ones have less."""

    @model_validator(mode="after")
    def _patches_fill_the_clip(self) -> Self:
        if self.window_frames % 2 or self.input_size % 4:
            raise UserError(
                "MViT cuts clips into patches of 2 frames and 4 x 4 pixels",
                f"{self.window_frames} frames of {self.input_size} pixels",
                "an even window_frames, and an input_size that 4 divides",
            )
        if self.weights != NO_WEIGHTS and (self.window_frames, self.input_size) != (16, 224):
            raise UserError(
                "weights of MViT are tied to the clips that they were trained on",
                f"{self.window_frames} frames of {self.input_size} pixels",
                "window_frames: 16, input_size: 224, or weights: none",
            )
        return self


def _head_channels(published: int, width: float) -> int:
    return max(1, round(published * width))


def _mvit_blocks(options: MvitOptions) -> list[Any]:
    """Return the settings of the 16 blocks; each stage has twice the heads of the one before."""
    library = importlib.import_module("torchvision.models.video.mvit")
    second_version = options.version == "v2_s"
    blocks = []
    channels = [
        _head_channels(MVIT_HEAD, options.width) * 2**stage for stage in range(len(MVIT_STAGES))
    ]
    for stage, count in enumerate(MVIT_STAGES):
        for number in range(count):
            first, last = number == 0, number == count - 1
            # The first version widens in the last block of a stage, the second in the first.
            before = channels[max(0, stage - 1)] if second_version and first else channels[stage]
            widens = not second_version and last and stage + 1 < len(channels)
            halves = first and stage > 0
            pools_query = second_version or halves
            blocks.append(
                library.MSBlockConfig(
                    num_heads=2**stage,
                    input_channels=before,
                    output_channels=channels[stage + 1] if widens else channels[stage],
                    kernel_q=[3, 3, 3] if pools_query else [],
                    kernel_kv=[3, 3, 3],
                    stride_q=([1, 2, 2] if halves else [1, 1, 1]) if pools_query else [],
                    stride_kv=[1, MVIT_KEY_STRIDES[stage], MVIT_KEY_STRIDES[stage]],
                )
            )
    return blocks


def _make_mvit(options: MvitOptions) -> nn.Module:
    library = importlib.import_module("torchvision.models.video.mvit")
    second_version = options.version == "v2_s"
    net: nn.Module = library.MViT(
        spatial_size=(options.input_size, options.input_size),
        temporal_size=options.window_frames,
        block_setting=_mvit_blocks(options),
        residual_pool=second_version,
        residual_with_cls_embed=False,
        rel_pos_embed=second_version,
        proj_after_attn=second_version,
        stochastic_depth_prob=options.stochastic_depth,
    )
    net.head = nn.Identity()
    return net


def _make_swin(options: SwinOptions) -> nn.Module:
    library = importlib.import_module("torchvision.models.video.swin_transformer")
    third, heads = SWIN_SIZES[options.size]
    net: nn.Module = library.SwinTransformer3d(
        patch_size=SWIN_PATCH,
        embed_dim=heads * _head_channels(SWIN_HEAD, options.width),
        depths=[2, 2, third, 2],
        num_heads=[heads * 2**stage for stage in range(4)],
        window_size=SWIN_WINDOW,
        stochastic_depth_prob=options.stochastic_depth,
    )
    net.head = nn.Identity()
    return net


@register_model(
    "mvit",
    options=MvitOptions,
    uses_order=True,
    normalisation=lambda options: video_facts(f"mvit_{options.version}").normalisation,
    quick_options={"width": 0.08, "input_size": 32, "window_frames": 4},
)
def mvit(num_classes: int, options: MvitOptions) -> nn.Module:
    """MViT: attention whose tokens become fewer and wider from stage to stage."""
    trunk = published_trunk(
        lambda: _make_mvit(options),
        lambda net: load_video_weights(net, f"mvit_{options.version}", options.weights),
        options,
        own_draws=True,
    )
    return VideoNet(trunk, 8 * _head_channels(MVIT_HEAD, options.width), num_classes, options)


@register_model(
    "swin3d",
    options=SwinOptions,
    uses_order=True,
    normalisation=lambda options: video_facts(f"swin3d_{options.size}").normalisation,
    quick_options={"width": 0.25, "input_size": 32, "window_frames": 4},
)
def swin3d(num_classes: int, options: SwinOptions) -> nn.Module:
    """Video Swin: attention inside windows that shift from block to block."""
    trunk = published_trunk(
        lambda: _make_swin(options),
        lambda net: load_video_weights(net, f"swin3d_{options.size}", options.weights),
        options,
        own_draws=True,
    )
    num_features = 8 * SWIN_SIZES[options.size][1] * _head_channels(SWIN_HEAD, options.width)
    return VideoNet(trunk, num_features, num_classes, options)

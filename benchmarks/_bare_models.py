"""The other side of `models.py`: what a user would write with torchvision or timm for each arm.

Legend: B clips, T frames, C channels, H height, W width, D features, K classes.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torchvision import models
from torchvision.models import video

NUM_CLASSES = 10
BACKBONE = "resnet18"
FEATURES = 512
TIMM_BACKBONE = "vit_tiny_patch16_224"
TIMM_SIZE = {"img_size": 64}


def net(num_outputs: int | None = None, channels: int = 3) -> nn.Module:
    """Return torchvision's net with another last layer (None: none) and other input channels."""
    model = models.get_model(BACKBONE, weights=None)
    model.fc = nn.Identity() if num_outputs is None else nn.Linear(FEATURES, num_outputs)
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    return model


class Frames(nn.Module):
    """The net on every frame, and what follows its features ``[B, T, 512]``."""

    def __init__(self, after: nn.Module) -> None:
        super().__init__()
        self.net = net()
        self.after = after

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        features = self.net(x_BTCHW.flatten(0, 1))
        return self.after(features.view(*x_BTCHW.shape[:2], -1))


class TimmFrames(nn.Module):
    """A net of timm on every frame, the mean of its features, then classes."""

    def __init__(self) -> None:
        super().__init__()
        import timm

        self.net = timm.create_model(TIMM_BACKBONE, num_classes=0, global_pool="avg", **TIMM_SIZE)
        self.after = Mean(self.net.num_features)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        features = self.net(x_BTCHW.flatten(0, 1))
        return self.after(features.view(*x_BTCHW.shape[:2], -1))


class Mean(nn.Module):
    """The mean over time, then classes."""

    def __init__(self, num_features: int = FEATURES) -> None:
        super().__init__()
        self.classes = nn.Linear(num_features, NUM_CLASSES)

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.classes(f_BTD.mean(1))


class MeanOfLogits(Mean):
    """Classes of each frame, then their mean."""

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.classes(f_BTD).mean(1)


class Lstm(nn.Module):
    """An LSTM and classes from its last step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, 256, batch_first=True)
        self.classes = nn.Linear(256, NUM_CLASSES)

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.classes(self.lstm(f_BTD)[0][:, -1])


class LstmAttention(nn.Module):
    """An LSTM, torch's own attention over its steps, and classes from their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, 128, batch_first=True)
        self.attention = nn.MultiheadAttention(128, 4, batch_first=True)
        self.classes = nn.Linear(128, NUM_CLASSES)

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        steps = self.lstm(f_BTD)[0]
        return self.classes(self.attention(steps, steps, steps, need_weights=False)[0].mean(1))


class Transformer(nn.Module):
    """torch's own encoder and classes from the mean of its steps."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            128, 4, 512, 0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.inputs = nn.Linear(FEATURES, 128)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.classes = nn.Linear(128, NUM_CLASSES)

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.classes(self.encoder(self.inputs(f_BTD)).mean(1))


class Stacked(nn.Module):
    """All frames on the channels of one net."""

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.net = net(NUM_CLASSES, 3 * num_frames)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        x_BCHW = x_BTCHW.flatten(1, 2).contiguous(memory_format=torch.channels_last)
        return self.net(x_BCHW)


class Groups(nn.Module):
    """Four groups of four frames on the channels of one net, their logits averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net(NUM_CLASSES, 12)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        groups = torch.cat([x_BTCHW[:, t : t + 4].flatten(1, 2) for t in (0, 2, 4, 6)])
        logits = self.net(groups.contiguous(memory_format=torch.channels_last))
        return logits.view(4, len(x_BTCHW), -1).mean(0)


class Volume(nn.Module):
    """A video net of torchvision."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.net = getattr(video, name)(weights=None, num_classes=NUM_CLASSES)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.net(x_BTCHW.transpose(1, 2))


def joined(num_frames: int) -> nn.Module:
    """Return classes from all features side by side."""
    return nn.Sequential(nn.Flatten(), nn.Linear(num_frames * FEATURES, NUM_CLASSES))


class Bare(NamedTuple):
    """The counterpart of an arm.

    Args:
        make: frames that the arm sees to the net.
        options: of the arm, where it is measured in one form alone.
        batch: clips at a time, where that form is a large one.
    """

    make: Callable[[int], nn.Module]
    options: Mapping[str, Any] = {}
    batch: int | None = None


BARE: dict[str, Bare] = {
    "backbone_single_frame": Bare(lambda frames: Frames(joined(1))),
    "backbone_pooling": Bare(lambda frames: Frames(Mean())),
    "backbone_pooling timm": Bare(
        lambda frames: TimmFrames(),
        {"backbone": f"timm:{TIMM_BACKBONE}", "input_size": TIMM_SIZE["img_size"]},
    ),
    "backbone_tsn": Bare(lambda frames: Frames(MeanOfLogits())),
    "backbone_tsm": Bare(lambda frames: Frames(MeanOfLogits())),
    "backbone_late_fusion": Bare(lambda frames: Frames(joined(2))),
    "backbone_early_fusion": Bare(Stacked),
    "backbone_slow_fusion": Bare(lambda frames: Groups()),
    "concat_mlp": Bare(lambda frames: Frames(joined(frames))),
    "lrcn": Bare(lambda frames: Frames(Lstm())),
    "lstm_attention": Bare(lambda frames: Frames(LstmAttention())),
    "temporal_transformer": Bare(lambda frames: Frames(Transformer())),
    "mc3_18": Bare(lambda frames: Volume("mc3_18")),
    # torchvision's function builds it for no other clips.
    "mvit": Bare(
        lambda frames: Volume("mvit_v2_s"), {"input_size": 224, "window_frames": 16}, batch=1
    ),
    "r2plus1d_18": Bare(lambda frames: Volume("r2plus1d_18")),
    "r3d_18": Bare(lambda frames: Volume("r3d_18")),
    # Its last pool is as wide as the map of its own size.
    "s3d": Bare(lambda frames: Volume("s3d"), {"input_size": 224, "window_frames": 16}, batch=1),
    "swin3d": Bare(lambda frames: Volume("swin3d_t")),
}
"""Arm, and what sets one of its forms apart, to its counterpart. Others have none there."""

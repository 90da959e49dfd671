"""A backbone on every frame of a clip, and a head on what it makes of them.

    x_BTCHW -> backbone on each frame -> f_BTD -> head -> logits_BK

A backbone that is not trained makes the same features in every epoch. A model with one is
therefore only its head, and takes ``f_BTD`` from the feature store; with ``cache_features: false``
it carries its backbone and takes clips, so that these can be augmented.

Legend: B clips, T frames, b = B * T, C channels, H height, W width, D features, K classes.
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.backbones_library import (
    Pooling,
    backbone_facts,
    build_trunk,
    num_features,
    pool,
)
from vidclass.models.encoder_net import Encoder, grid_of
from vidclass.models.encoders_library import encoder_hash
from vidclass.models.pretrained import (
    NO_WEIGHTS,
    file_hash,
    find_weights,
    fitting_state,
    load_state,
    read_state,
    weights_hash,
)
from vidclass.models.registry import (
    NUM_COLOURS,
    FeatureSource,
    ModelEntry,
    ModelOptions,
    Normalisation,
    PublishedWeights,
    check_clips,
    check_features,
)
from vidclass.models.tuning import Freeze, Tuned

__all__ = [
    "QUICK",
    "Backbone",
    "BackboneOptions",
    "OnClips",
    "OnFeatures",
    "OnFrames",
    "feature_source",
    "frozen_backbone",
    "normalisation_of",
    "on_backbone",
    "source_hash",
    "with_backbone",
]

QUICK = {"backbone": "squeezenet1_1", "weights": NO_WEIGHTS, "input_size": 32}
"""A configuration that is fast everywhere."""
RANDOM_SEED = 0  # of a frozen backbone without weights


class BackboneOptions(ModelOptions):
    """Options of all models on a backbone."""

    input_size: int = Field(224, ge=1, le=4096)
    """Height and width of a frame, pixels; where none is given, those that the backbone's weights
    were trained on (299 for the Inceptions and Xception, 224 for most)."""
    backbone: str = "resnet18"
    """An image net of torchvision or timm, such as vgg16, mobilenet_v2, inception_resnet_v2 or
    timm:vit_tiny_patch16_224."""
    weights: str = "imagenet"
    """imagenet: those that the net's library publishes, downloaded once into HOME/weights; none: a
    random start; or a file, by its absolute path or its name in HOME/weights."""
    pooling: Pooling = "avg"
    """How the last map becomes one vector: avg or max over its places (tokens of a transformer)."""
    freeze: Freeze = "frozen"
    """What of the backbone is trained: nothing (`frozen`); its last `last_layers` (`last`); all
    (`full`). With the training's `unfreeze_after` that begins after so many epochs, and the head
    learns alone before. `staged` is `last` with a quarter of the epochs for that, if none are
    named."""
    last_layers: int = Field(3, ge=1, le=1000)
    """Layers that `freeze: last` trains: convolutions or dense layers, each with its norm."""
    cache_features: bool = True
    """Whether a frozen backbone's features come from the feature store, made once for all trials.
    False runs it in every epoch, so that clips can be augmented."""

    @model_validator(mode="before")
    @classmethod
    def _size_of_the_backbone(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("input_size") is None:
            name = given.get("backbone", cls.model_fields["backbone"].default)
            return {**given, "input_size": backbone_facts(str(name)).input_size}
        return given

    @property
    def published_weights(self) -> PublishedWeights | None:
        """Those that the library of the backbone publishes."""
        facts = backbone_facts(self.backbone)
        return PublishedWeights("imagenet", facts.library, facts.licence) if facts.file else None

    @model_validator(mode="after")
    def _frames_are_large_enough(self) -> Self:
        num_features(self.backbone, self.input_size)
        return self

    @property
    def cached(self) -> bool:
        """Whether the model takes features."""
        return self.freeze == "frozen" and self.cache_features


def normalisation_of(options: BackboneOptions) -> Normalisation:
    """Return that of the frames on which the backbone's weights were trained."""
    return backbone_facts(options.backbone).normalisation


def feature_source(options: BackboneOptions) -> FeatureSource | None:
    """Return how the features are made that a model of a frozen backbone takes."""
    if not options.cached:
        return None
    return FeatureSource(
        backbone=options.backbone,
        weights=options.weights,
        pooling=options.pooling,
        input_size=options.input_size,
        num_features=num_features(options.backbone, options.input_size),
    )


class Backbone(Tuned):
    """An image net without its classifier: ``x_bCHW -> f_bD``.

    Args:
        options: which net, which weights, what of it is trained.
        num_frames: frames stacked on the channels of its input. Its first convolution is then
            inflated: every frame gets the weights of the one frame divided by their number, so that
            a still clip gives what its one frame gives.
    """

    def __init__(self, options: BackboneOptions, *, num_frames: int = 1) -> None:
        self.options = options
        self.num_frames = num_frames
        self.num_features = num_features(options.backbone, options.input_size)
        super().__init__(
            random=options.weights == NO_WEIGHTS,
            freeze=options.freeze,
            last_layers=options.last_layers,
        )

    def hold(self, held: bool) -> None:
        """Freeze the whole net for the time being, or train again what ``freeze`` says.

        A widened first convolution is then always trained: at its start it tells no frame from
        another.
        """
        super().hold(held)
        if self.num_frames > 1 and not held:
            _stem(self.net)[1].requires_grad_(True)
            self.train(self.training)

    def forward(self, x_bCHW: torch.Tensor) -> torch.Tensor:
        """Return ``f_bD``."""
        return pool(self.net(x_bCHW), self.net, self.options.pooling)

    def _random_net(self) -> nn.Module:
        net = build_trunk(self.options.backbone, self.options.input_size)
        if self.num_frames > 1:
            _, stem = _stem(net)
            stem.in_channels = NUM_COLOURS * self.num_frames
            shape = (stem.out_channels, stem.in_channels, *stem.kernel_size)
            stem.weight = nn.Parameter(stem.weight.new_empty(shape))
            stem.reset_parameters()
        return net

    def _load(self) -> None:
        options = self.options
        path = find_weights(options.backbone, options.weights)
        self.weights_sha256 = file_hash(path)
        facts = backbone_facts(options.backbone)
        state = dict(fitting_state(read_state(path), self.net, facts, options.input_size))
        if self.num_frames > 1:
            key = f"{_stem(self.net)[0]}.weight"
            if key in state and state[key].shape[1] == NUM_COLOURS:
                state[key] = _inflated(state[key], self.num_frames)
        load_state(self.net, state, source=str(path), without=facts.classifiers)


def _stem(net: nn.Module) -> tuple[str, nn.Conv2d]:
    """Return name and layer of the convolution that sees the frame."""
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module
    raise UserError(
        "early and slow fusion widen the first convolution of a backbone",
        f"{type(net).__name__} has none",
        "another backbone, such as resnet18",
    )


def _inflated(weight_OIHW: torch.Tensor, num_frames: int) -> torch.Tensor:
    return weight_OIHW.repeat(1, num_frames, 1, 1) / num_frames


class OnFeatures(nn.Module):
    """A head that takes the features of a frozen backbone: ``f_BTD -> logits_BK``."""

    def __init__(self, head: nn.Module, *, num_frames: int, num_features: int) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.num_features = num_features
        self.head = head

    def features(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return what the head gets: here the input itself, its shape checked."""
        check_features(f_BTD, num_frames=self.num_frames, num_features=self.num_features)
        return f_BTD

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        logits_BK: torch.Tensor = self.head(self.features(f_BTD))
        return logits_BK


class OnClips(nn.Module):
    """A net that sees whole clips and a head in one: ``x_BTCHW -> logits_BK``.

    Args:
        encoder: ``x_BTCHW -> f_BSE``, S steps of E features.
        head: ``f_BSE -> logits_BK``.
        num_frames: frames of a clip (T).
        input_size: height and width of a frame.
    """

    def __init__(
        self, encoder: nn.Module, head: nn.Module, *, num_frames: int, input_size: int
    ) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.input_size = input_size
        self.encoder = encoder
        self.head = head

    def features(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``f_BSE``."""
        check_clips(x_BTCHW, num_frames=self.num_frames, input_size=self.input_size)
        f_BSE: torch.Tensor = self.encoder(x_BTCHW)
        return f_BSE

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        logits_BK: torch.Tensor = self.head(self.features(x_BTCHW))
        return logits_BK


class OnFrames(nn.Module):
    """Backbone and head in one: ``x_BTCHW -> logits_BK``.

    Args:
        make: makes a backbone.
        head: ``f_BTD -> logits_BK``.
        num_frames: frames of a clip (T).
        input_size: height and width of a frame.
        shared: one backbone for all frames, or one a frame.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        head: nn.Module,
        *,
        num_frames: int,
        input_size: int,
        shared: bool = True,
    ) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.input_size = input_size
        self.backbones = nn.ModuleList(make() for _ in range(1 if shared else num_frames))
        self.head = head

    def features(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``f_BTD``."""
        check_clips(x_BTCHW, num_frames=self.num_frames, input_size=self.input_size)
        if len(self.backbones) == 1:
            f_bD: torch.Tensor = self.backbones[0](x_BTCHW.flatten(0, 1))
            return f_bD.view(-1, self.num_frames, f_bD.shape[1])
        return torch.stack([net(x_BTCHW[:, t]) for t, net in enumerate(self.backbones)], dim=1)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        logits_BK: torch.Tensor = self.head(self.features(x_BTCHW))
        return logits_BK


def on_backbone(
    options: BackboneOptions,
    num_frames: int,
    make_head: Callable[[int], nn.Module],
    *,
    shared: bool = True,
) -> nn.Module:
    """Return a head on features, or with its backbone, as ``options`` ask for.

    Args:
        options: of the backbone.
        num_frames: frames that the model sees (T).
        make_head: length of the features (D) to the head, ``f_BTD -> logits_BK``.
        shared: one backbone for all frames, or one a frame.
    """
    size = num_features(options.backbone, options.input_size)
    head = make_head(size)
    if options.cached:
        return OnFeatures(head, num_frames=num_frames, num_features=size)
    return OnFrames(
        lambda: Backbone(options),
        head,
        num_frames=num_frames,
        input_size=options.input_size,
        shared=shared,
    )


def source_hash(source: FeatureSource) -> str:
    """Return the SHA-256 of the weights that make the features of ``source``, or ``none``."""
    of = encoder_hash if source.library == "encoder" else weights_hash
    return of(source.backbone, source.weights)


def frozen_backbone(source: FeatureSource, num_frames: int = 1) -> Backbone | Encoder:
    """Return the net that makes the features of ``source``, in evaluation mode.

    Without weights it is the same random one whenever it is made: its features are kept.

    Args:
        source: how the features are made.
        num_frames: frames of a clip, for a net that sees whole clips.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        if source.library == "backbone":
            return Backbone(_frozen_options(source)).eval()
        return Encoder(
            source.backbone,
            source.weights,
            num_frames=num_frames if source.of_clips else 1,
            input_size=source.input_size,
            grid=grid_of(source.pooling),
        ).eval()


def _frozen_options(source: FeatureSource) -> BackboneOptions:
    return BackboneOptions.model_validate(
        {
            "backbone": source.backbone,
            "weights": source.weights,
            "pooling": source.pooling,
            "input_size": source.input_size,
            "freeze": "frozen",
        }
    )


def with_backbone(model: nn.Module, entry: ModelEntry, options: ModelOptions) -> nn.Module:
    """Return ``model`` as one that takes clips: before one of features comes their backbone.

    One that takes poses stays as it is.

    Args:
        model: as ``create_model`` made it; it becomes a part of the new one, not a copy.
        entry: of the model.
        options: of the model.
    """
    source = entry.features(options)
    if not isinstance(source, FeatureSource):
        return model  # of clips, or of poses, which no net makes
    num_frames, input_size = entry.num_frames(options), source.input_size
    whole: nn.Module
    if source.of_clips:
        net = frozen_backbone(source, num_frames)
        whole = OnClips(net, model, num_frames=num_frames, input_size=input_size)
    else:
        whole = OnFrames(
            lambda: frozen_backbone(source), model, num_frames=num_frames, input_size=input_size
        )
    return whole.train(model.training)

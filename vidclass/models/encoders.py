"""Arms on encoders that were trained without labels: an attentive probe on what they make.

An encoder of frames (DINOv2, DINOv3) makes features of each stored frame, as a backbone does. One
of clips (VideoMAE, V-JEPA 2) looks at a whole clip at once, so its features are kept by clip.

Legend: B clips, T frames, S steps of time, E features of a step, K classes.
"""

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.attentive import AttentiveHead, AttentiveOptions
from vidclass.models.backbones import (
    QUICK,
    BackboneOptions,
    OnClips,
    OnFeatures,
    OnFrames,
    feature_source,
    normalisation_of,
    on_backbone,
)
from vidclass.models.encoder_net import Encoder, pooling_of
from vidclass.models.encoders_library import (
    IMAGENET,
    PUBLISHED_FOLDER,
    EncoderFacts,
    Kind,
    encoder_facts,
)
from vidclass.models.fusion import SpreadOptions, even_positions
from vidclass.models.pretrained import NO_WEIGHTS
from vidclass.models.registry import FeatureSource, PublishedWeights, register_model
from vidclass.models.tuning import Freeze

__all__ = ["ClipEncoderOptions", "FrameEncoderOptions", "ProbeOptions"]


ARMS: dict[Kind, str] = {"frames": "frame_encoder_probe", "clips": "clip_encoder_probe"}


class ProbeOptions(BackboneOptions, SpreadOptions, AttentiveOptions):
    """Options of the attentive probe on any backbone."""

    num_frames: int = Field(8, ge=2)
    """Frames that are seen, evenly spaced over the whole window."""


class EncoderOptions(SpreadOptions, AttentiveOptions):
    """Options of both arms on encoders."""

    kind: ClassVar[Kind]
    """What the encoders of the arm take."""

    encoder: str = ""
    """A published encoder by its name on the hub, a folder in HOME/weights, or the absolute path of
    one: `config.json` and `model.safetensors` of transformers."""
    weights: str = PUBLISHED_FOLDER
    """published: those of the encoder's folder, downloaded once into HOME/weights where there is a
    network; none: a random start."""
    grid: int = Field(2, ge=1, le=16)
    """Side of the grid of places to which the tokens of a step are averaged; 1 keeps one vector a
    step, 2 four."""
    freeze: Freeze = "frozen"
    """What of the encoder is trained: nothing (`frozen`); its last `last_layers` (`last`); all
    (`full`); or `staged`: the head alone at first, then the last layers."""
    last_layers: int = Field(6, ge=1, le=1000)
    """Layers that `freeze: last` trains: dense layers, each with its norm; 6 are one block."""
    cache_features: bool = True
    """Whether a frozen encoder's features are kept on disk, for all epochs and trials. False runs
    it in every epoch, so that clips can be augmented."""

    @model_validator(mode="before")
    @classmethod
    def _size_of_the_encoder(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("input_size") is None:
            name = given.get("encoder", cls.model_fields["encoder"].default)
            return {**given, "input_size": encoder_facts(str(name)).input_size}
        return given

    @model_validator(mode="after")
    def _frames_fit_the_encoder(self) -> Self:
        facts = self.facts
        if facts.kind != self.kind:
            raise UserError(
                f"this arm is on an encoder of {self.kind}",
                f"{facts.name} ({facts.model_type}) takes {facts.kind}",
                f"model: {ARMS[facts.kind]}",
            )
        if self.weights not in (PUBLISHED_FOLDER, NO_WEIGHTS):
            raise UserError(
                f"weights of an encoder are `{PUBLISHED_FOLDER}` or `{NO_WEIGHTS}`",
                self.weights,
                "encoder: FOLDER, where your config.json and model.safetensors are",
            )
        if self.grid > self.input_size // facts.patch:  # what is no whole patch is not seen
            raise UserError(
                f"a frame has at least `grid` patches of {facts.name} in a row, each of "
                f"{facts.patch} pixels",
                f"input_size {self.input_size}, grid {self.grid}",
                f"input_size: {facts.input_size}",
            )
        published = (facts.num_frames, facts.input_size)
        given = (self.num_frames, self.input_size)
        if facts.fixed_size and self.weights != NO_WEIGHTS and given != published:
            raise UserError(
                f"the weights of {facts.name} are for clips of one form: its table of positions is",
                f"num_frames {given[0]}, input_size {given[1]}",
                f"num_frames: {published[0]}, input_size: {published[1]}; or weights: none",
            )
        return self

    @property
    def facts(self) -> EncoderFacts:
        """What is known of the encoder."""
        return encoder_facts(self.encoder)

    @property
    def published_weights(self) -> PublishedWeights | None:
        """Those of its publisher."""
        return PublishedWeights(PUBLISHED_FOLDER, self.facts.name, self.facts.licence)

    @property
    def cached(self) -> bool:
        """Whether the model takes features."""
        return self.freeze == "frozen" and self.cache_features

    def make_encoder(self) -> Encoder:
        """Return the encoder, as it is trained or not."""
        clips = self.facts.kind == "clips"
        return Encoder(
            self.encoder,
            self.weights,
            num_frames=self.num_frames if clips else 1,
            input_size=self.input_size,
            grid=self.grid,
            freeze=self.freeze,
            last_layers=self.last_layers,
        )


class FrameEncoderOptions(EncoderOptions):
    """Options of the probe on an encoder of frames."""

    encoder: str = "facebook/dinov2-small"
    """A published encoder of frames (DINOv2, DINOv3) by its name on the hub, a folder in
    HOME/weights, or the absolute path of one: `config.json` and `model.safetensors`."""
    input_size: int = Field(224, ge=1, le=4096)
    """Height and width of a frame, pixels; where none is given, those of the encoder."""
    num_frames: int = Field(8, ge=2)
    """Frames that are seen, evenly spaced over the whole window."""

    kind: ClassVar[Kind] = "frames"


class ClipEncoderOptions(EncoderOptions):
    """Options of the probe on an encoder of clips."""

    encoder: str = "MCG-NJU/videomae-base"
    """A published encoder of clips (VideoMAE, V-JEPA 2) by its name on the hub, a folder in
    HOME/weights, or the absolute path of one: `config.json` and `model.safetensors`."""
    input_size: int = Field(224, ge=1, le=4096)
    """Height and width of a frame, pixels; where none is given, those of the encoder."""
    window_frames: int = Field(16, ge=1, le=1024)
    """Frames of the study's window, from which the model takes its own."""
    num_frames: int = Field(16, ge=2)
    """Frames that are seen, evenly spaced over the whole window: 16 for VideoMAE; any even number
    for V-JEPA 2, which was trained on 64."""
    starts_every: int = Field(8, ge=1, le=1024)
    """Kept features: in training, clips start only at every n-th stored frame of a video, so that
    they come again and are made once. 1 leaves the starts as they are drawn."""

    kind: ClassVar[Kind] = "clips"

    @model_validator(mode="after")
    def _whole_tokens(self) -> Self:
        if self.num_frames % self.facts.tubelet:
            raise UserError(
                f"a token of {self.facts.name} spans {self.facts.tubelet} frames",
                f"num_frames {self.num_frames}",
                f"num_frames: {self.num_frames + 1}",
            )
        return self


def encoder_source(options: EncoderOptions) -> FeatureSource | None:
    """Return how the features are made that a probe on a frozen encoder takes."""
    if not options.cached:
        return None
    facts = options.facts
    return FeatureSource(
        backbone=options.encoder,
        weights=options.weights,
        pooling=pooling_of(options.grid),
        input_size=options.input_size,
        num_features=options.grid**2 * facts.width,
        library="encoder",
        frames_per_step=facts.tubelet,
        starts_every=options.starts_every if isinstance(options, ClipEncoderOptions) else 0,
    )


def _on_encoder(num_classes: int, options: EncoderOptions) -> nn.Module:
    facts, places = options.facts, options.grid**2
    steps = options.num_frames // facts.tubelet
    head = AttentiveHead(steps, places, facts.width, num_classes, options)
    if options.cached:
        return OnFeatures(head, num_frames=steps, num_features=places * facts.width)
    frames, size = options.num_frames, options.input_size
    if facts.kind == "clips":
        return OnClips(options.make_encoder(), head, num_frames=frames, input_size=size)
    return OnFrames(options.make_encoder, head, num_frames=frames, input_size=size)


def _imagenet(options: EncoderOptions) -> Any:
    return IMAGENET


_PROBE: dict[str, Any] = {"uses_order": True, "frame_positions": even_positions}
_QUICK = {"weights": NO_WEIGHTS, "width": 16, "num_heads": 2}


@register_model(
    "attentive_probe",
    options=ProbeOptions,
    normalisation=normalisation_of,
    features=feature_source,
    quick_options={**QUICK, "width": 16, "num_heads": 2},
    **_PROBE,
)
def attentive_probe(num_classes: int, options: ProbeOptions) -> nn.Module:
    """A learned query over the features of frames, on any backbone."""
    return on_backbone(
        options,
        options.num_frames,
        lambda size: AttentiveHead(options.num_frames, 1, size, num_classes, options),
    )


@register_model(
    "frame_encoder_probe",
    options=FrameEncoderOptions,
    normalisation=_imagenet,
    features=encoder_source,
    quick_options={**_QUICK, "input_size": 28, "num_frames": 2},
    **_PROBE,
)
def frame_encoder_probe(num_classes: int, options: FrameEncoderOptions) -> nn.Module:
    """Attentive probe on DINOv2 or DINOv3, frozen or tuned."""
    return _on_encoder(num_classes, options)


@register_model(
    "clip_encoder_probe",
    options=ClipEncoderOptions,
    normalisation=_imagenet,
    features=encoder_source,
    quick_options={**_QUICK, "input_size": 32, "num_frames": 4},
    **_PROBE,
)
def clip_encoder_probe(num_classes: int, options: ClipEncoderOptions) -> nn.Module:
    """Attentive probe on VideoMAE or V-JEPA 2, frozen or tuned."""
    return _on_encoder(num_classes, options)

"""What a frame store keeps of a video: all of it is part of the store's key."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vidclass.data.frame_choice import FrameChoice
from vidclass.errors import UserError

__all__ = ["Mask", "StoreOptions"]

DEFAULT_QUALITY = 90
_FIRST_FIELDS = ("short_side", "fps", "stride", "num_frames")


class Mask(BaseModel):
    """A rectangle that no model may see, such as a burnt-in clock; on upright frames."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    left: float = Field(ge=0)
    """First column that is hidden."""
    top: float = Field(ge=0)
    """First row that is hidden."""
    right: float = Field(gt=0)
    """Column behind the last hidden one."""
    bottom: float = Field(gt=0)
    """Row behind the last hidden one."""
    unit: Literal["share", "pixels"] = "share"
    """Shares of width and height, or pixels of the file's own frames."""
    fill: Literal["blank", "blur"] = "blank"
    """Mid-grey, or a blur so wide that no digit is left; a blur still shows the mean colour."""

    @model_validator(mode="after")
    def _has_an_area(self) -> "Mask":
        received = f"left {self.left:g}, top {self.top:g}, right {self.right:g}"
        received += f", bottom {self.bottom:g}"
        if not (self.left < self.right and self.top < self.bottom):
            raise UserError(
                "a mask's left is smaller than its right, and its top than its bottom",
                received,
                "for example {left: 0, top: 0.9, right: 0.3, bottom: 1}",
            )
        if self.unit == "share" and max(self.right, self.bottom) > 1:
            raise UserError(
                "a mask's sides are shares of the frame, at most 1",
                received,
                "divide by the frame's width and height, or add unit: pixels",
            )
        return self


class StoreOptions(BaseModel):
    """What the store keeps of a video; at most one of fps, stride and num_frames is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    short_side: int | None = Field(default=None, ge=8)
    """Short side in pixels, aspect kept, never scaled up; null keeps the file's size."""
    fps: float | None = Field(default=None, gt=0)
    """Stored frames a second (nearest source frame, never more than the source has)."""
    stride: int | None = Field(default=None, ge=1)
    """Keep every n-th frame."""
    num_frames: int | None = Field(default=None, ge=1)
    """Keep n frames spread evenly over the video. This turns duration into speed: see the docs."""
    greyscale: bool = False
    """Keep brightness only, a third of the bytes. Models are given it three times."""
    masks: tuple[Mask, ...] = ()
    """Rectangles that no model may see; see below."""
    lighting: Literal["mean", "mean_std"] | None = None
    """Bring each channel of a video to mean 128, or also to standard deviation 48, by one shift
    (and factor) for the whole video. Looks at no label."""
    format: Literal["raw", "jpeg"] = "raw"
    """`raw` is read fastest; `jpeg` takes a fraction of the disk, is lossy and decoded on read."""
    quality: int | None = Field(default=None, ge=1, le=100)
    """JPEG's quality; null is 90. Only with format jpeg."""

    @model_validator(mode="after")
    def _one_rate(self) -> "StoreOptions":
        given = {
            name: getattr(self, name)
            for name in ("fps", "stride", "num_frames")
            if getattr(self, name) is not None
        }
        if len(given) > 1:
            raise UserError(
                "a store has one frame rate, so at most one of fps, stride and num_frames is set",
                given,
                f"keep one of {', '.join(given)}",
            )
        return self

    @model_validator(mode="after")
    def _quality_of_jpeg(self) -> "StoreOptions":
        if self.quality is not None and self.format != "jpeg":
            raise UserError(
                "quality belongs to format jpeg; raw frames are kept as they are",
                f"quality {self.quality}, format {self.format}",
                "add format: jpeg, or leave quality out",
            )
        return self

    @property
    def num_channels(self) -> int:
        """Channels that are stored: 1 or 3."""
        return 1 if self.greyscale else 3

    @property
    def shard_kind(self) -> str:
        """What a shard's file is called after its dot."""
        if self.format == "jpeg":
            return "jpeg"
        return "grey" if self.greyscale else "rgb"

    @property
    def jpeg_quality(self) -> int:
        """The quality in force."""
        return DEFAULT_QUALITY if self.quality is None else self.quality

    def choice(self, start_s: float | None = None, end_s: float | None = None) -> FrameChoice:
        """Return which frames to decode of a video that is the given part of its file."""
        return FrameChoice(self.short_side, self.fps, self.stride, self.num_frames, start_s, end_s)

    def identity(self) -> dict[str, Any]:
        """Return what goes into a store's key.

        Fields that later versions added are left out at their default, so that the stores of
        earlier versions keep their keys.
        """
        first = self.model_dump(include=set(_FIRST_FIELDS))
        changed = json.loads(self.model_dump_json(exclude_defaults=True))
        identity = {**first, **changed}
        if self.format == "jpeg":
            identity["quality"] = self.jpeg_quality
        if not {"fps", "stride", "num_frames"}.isdisjoint(changed):
            identity["seeking"] = "checked"  # before, decord's random access was trusted
        return identity

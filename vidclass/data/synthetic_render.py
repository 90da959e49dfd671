"""Pixels of the control data set `moving_shapes`, from formulas alone.

A scene (colours, shape, texture, distractors, and where everything stands at frame 0) is drawn
*before* the motion is known, and every motion moves one of four quantities around a circle on
which it is uniform: x and y on the torus, the angle, and the logarithm of the size. So position,
angle and size have the same distribution in every class and in every frame, and one frame tells
nothing.

Legend: T frames, H height, W width, P convex parts of a shape, E edges of a part.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "MOTIONS",
    "SHAPES",
    "Preset",
    "Scene",
    "Trajectory",
    "clip_generator",
    "draw_scene",
    "render_clip",
    "render_frames",
    "trajectory",
    "twin_opacity",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Frames = npt.NDArray[np.uint8]

# Opposite motions are neighbours: class k and class k ^ 1 are each other's reversal in time.
# As seen on the screen, with y pointing down.
MOTIONS = ("left", "right", "up", "down", "clockwise", "anticlockwise", "grow", "shrink")


@dataclass(frozen=True)
class Preset:
    """All that shapes the clips of one variant of the data set.

    Args:
        name: key in :data:`vidclass.data.synthetic.PRESETS`.
        num_clips: clips of train, valid and test, each a multiple of the number of classes.
        size: height and width in pixels.
        num_frames: frames of a clip.
        fps: frames a second.
        rate: smallest and largest speed in cycles a frame, the same for all motions.
        radius: smallest and largest radius of a shape in pixels.
        contrast: smallest and largest distance of a shape from the background, in grey levels.
        texture_sd: spread of the still background texture, in grey levels.
        noise_sd: spread of the noise that is new in each frame, in grey levels.
        distractor_radius: smallest and largest radius of a still disc in pixels.
        packet_bytes: bytes that the first and every further frame fill in a file.
    """

    name: str
    num_clips: tuple[int, int, int]
    size: int = 32
    num_frames: int = 12
    fps: int = 10
    rate: tuple[float, float] = (0.04, 0.08)
    radius: tuple[float, float] = (3.0, 12.0)
    contrast: tuple[float, float] = (37.0, 85.0)
    texture_sd: float = 9.0
    noise_sd: float = 7.0
    distractor_radius: tuple[float, float] = (1.5, 3.0)
    packet_bytes: tuple[int, int] = (2048, 1024)

    @property
    def size_span(self) -> float:
        """Range G of the logarithm of the size, around which grow and shrink go."""
        return math.log(self.radius[1] / self.radius[0])


@dataclass(frozen=True)
class Scene:
    """A clip before it is known how it moves.

    Args:
        shape: key in :data:`SHAPES`.
        start: x, y, angle and size at frame 0, each in cycles [0, 1).
        rate: speed in cycles a frame.
        background: colour, ``[3]``.
        colours: colours of the two copies of the shape, ``[2, 3]``.
        still_HW: texture, grey, added to everything.
        discs: distractors as rows x, y, radius (pixels), contrast, ``[D, 4]``.
        noise_THW: noise, grey.
    """

    shape: str
    start: Float64
    rate: float
    background: Float32
    colours: Float32
    still_HW: Float32
    discs: Float64
    noise_THW: Float32


@dataclass(frozen=True)
class Trajectory:
    """Where the shape is in each frame: pixels, radians, and the size phase in [0, G)."""

    x_T: Float64
    y_T: Float64
    angle_T: Float64
    size_T: Float64


def clip_generator(preset: Preset, seed: int, index: int) -> np.random.Generator:
    """Return the source of all chance in clip ``index``, whoever renders it and when."""
    return np.random.default_rng([seed, zlib.crc32(preset.name.encode()), index])


def render_clip(preset: Preset, seed: int, index: int) -> Frames:
    """Return the frames of clip ``index``, uint8 ``[T, H, W, 3]``; its motion is index mod 8."""
    scene = draw_scene(preset, clip_generator(preset, seed, index))
    return render_frames(preset, scene, trajectory(preset, scene, MOTIONS[index % len(MOTIONS)]))


def draw_scene(preset: Preset, rng: np.random.Generator) -> Scene:
    """Draw all of a clip except its motion, so that nothing here can depend on the class."""
    size = preset.size
    background = 0.4 * rng.uniform(90, 165, 3) + 0.6 * rng.uniform(90, 165)
    # One copy lighter than the background and one darker, at random which: copies of like colours
    # hide each other (early fusion then reaches 0.85 instead of 0.96 with the default preset).
    sides = rng.choice([-1.0, 1.0]) * np.array([[1.0], [-1.0]])
    contrast = rng.uniform(*preset.contrast, (2, 1)) * sides
    num_discs = int(rng.integers(1, 4))
    disc_contrast = rng.uniform(15, 40, num_discs) * rng.choice([-1.0, 1.0], num_discs)
    disc_radius = rng.uniform(*preset.distractor_radius, num_discs)
    disc_centre = rng.uniform(0, size, (num_discs, 2))
    noise = rng.standard_normal((preset.num_frames, size, size), dtype=np.float32)
    return Scene(
        shape=str(rng.choice(list(SHAPES))),
        start=rng.uniform(0, 1, 4),
        rate=float(rng.uniform(*preset.rate)),
        background=background.astype(np.float32),
        colours=(background + contrast + rng.uniform(-25, 25, (2, 3))).astype(np.float32),
        still_HW=_torus_texture(size, preset.texture_sd, rng),
        discs=np.column_stack([disc_centre, disc_radius, disc_contrast]),
        noise_THW=noise * np.float32(preset.noise_sd),
    )


def trajectory(preset: Preset, scene: Scene, motion: str) -> Trajectory:
    """Return the stationary law of ``motion`` (one of :data:`MOTIONS`) from the scene's start."""
    moved, direction = divmod(MOTIONS.index(motion), 2)
    # x, y and the angle rise in the second motion of their pair, the size in the first.
    sign = {0: -1.0, 1: 1.0}[direction] * {0: 1.0, 1: 1.0, 2: -1.0, 3: -1.0}[moved]
    cycles_4T = np.repeat(scene.start[:, None], preset.num_frames, axis=1)
    cycles_4T[moved] += sign * scene.rate * np.arange(preset.num_frames)
    cycles_4T %= 1.0
    return Trajectory(
        x_T=cycles_4T[0] * preset.size,
        y_T=cycles_4T[1] * preset.size,
        angle_T=cycles_4T[2] * 2 * math.pi,
        size_T=cycles_4T[3] * preset.size_span,
    )


def twin_opacity(size_phase: Float64, span: float) -> Float64:
    """Return the opacity of a copy: it fades at both ends of its range, where its size jumps."""
    return np.minimum(1.0, np.minimum(size_phase, span - size_phase) / (0.25 * span))


def render_frames(preset: Preset, scene: Scene, path: Trajectory) -> Frames:
    """Draw a scene along a trajectory, uint8 ``[T, H, W, 3]``."""
    size, span = preset.size, preset.size_span
    pixels_W = np.arange(size, dtype=np.float64)
    ground_HW = np.zeros((size, size), dtype=np.float32)
    for x, y, radius, contrast in scene.discs:
        dx_W, dy_H = _torus(pixels_W - x, size), _torus(pixels_W - y, size)
        cover_HW = np.clip(radius + 0.5 - np.hypot(dx_W[None, :], dy_H[:, None]), 0, 1)
        ground_HW += (cover_HW * contrast).astype(np.float32)
    # Colour first while drawing: broadcasting over a last axis of 3 takes several times as long.
    frames_3THW = np.empty((3, preset.num_frames, size, size), dtype=np.float32)
    frames_3THW[:] = (scene.background[:, None, None] + ground_HW)[:, None]

    dx_TW = _torus(pixels_W - path.x_T[:, None], size).astype(np.float32)
    dy_TH = _torus(pixels_W - path.y_T[:, None], size).astype(np.float32)
    # Two copies half a range apart: while one fades out at its largest, the other is in full view,
    # so the jump at the end of the range shows nowhere and both senses look alike in a frame.
    sizes_2T = np.stack([path.size_T, (path.size_T + span / 2) % span])
    alphas_2THW = [
        _cover(scene.shape, dx_TW, dy_TH, path.angle_T, preset.radius[0] * np.exp(sizes_T))
        * twin_opacity(sizes_T, span).astype(np.float32)[:, None, None]
        for sizes_T in sizes_2T
    ]
    first_larger_T = sizes_2T[0] > sizes_2T[1]
    for larger in (True, False):
        use_first_T = first_larger_T == larger
        alpha_THW = np.where(use_first_T[:, None, None], alphas_2THW[0], alphas_2THW[1])
        colour_3T = np.where(use_first_T, scene.colours[0][:, None], scene.colours[1][:, None])
        step_3THW = colour_3T[:, :, None, None] - frames_3THW
        step_3THW *= alpha_THW
        frames_3THW += step_3THW
    frames_3THW += scene.still_HW + scene.noise_THW
    np.rint(frames_3THW, out=frames_3THW)
    np.clip(frames_3THW, 0, 255, out=frames_3THW)
    return np.ascontiguousarray(frames_3THW.astype(np.uint8).transpose(1, 2, 3, 0))


def _cover(
    shape: str, dx_TW: Float32, dy_TH: Float32, angle_T: Float64, radius_T: Float64
) -> Float32:
    """Return how much of each pixel a shape covers, ``[T, H, W]`` in [0, 1].

    A convex part is the largest of the signed distances to its edges, a shape the smallest of its
    parts; a ramp of one pixel at the border smooths the edge.
    """
    cos_T1, sin_T1 = np.cos(angle_T)[:, None], np.sin(angle_T)[:, None]
    outside_THW: Float32 | None = None
    for part_E3 in SHAPES[shape]:
        nx_TE = (cos_T1 * part_E3[:, 0] - sin_T1 * part_E3[:, 1]).astype(np.float32)
        ny_TE = (sin_T1 * part_E3[:, 0] + cos_T1 * part_E3[:, 1]).astype(np.float32)
        reach_TE = (radius_T[:, None] * part_E3[:, 2]).astype(np.float32)
        along_TEW = nx_TE[:, :, None] * dx_TW[:, None, :] - reach_TE[:, :, None]
        down_TEH = ny_TE[:, :, None] * dy_TH[:, None, :]
        distance_THW = along_TEW[:, 0, None, :] + down_TEH[:, 0, :, None]
        for edge in range(1, len(part_E3)):
            edge_THW = along_TEW[:, edge, None, :] + down_TEH[:, edge, :, None]
            np.maximum(distance_THW, edge_THW, out=distance_THW)
        outside_THW = distance_THW if outside_THW is None else np.minimum(outside_THW, distance_THW)
    assert outside_THW is not None, f"shape {shape} has no part"
    cover_THW: Float32 = np.clip(np.float32(0.5) - outside_THW, 0, 1)
    return cover_THW


def _torus(offset: Float64, size: int) -> Float64:
    """Return the shortest way around the torus, in [-size/2, size/2)."""
    return (offset + size / 2) % size - size / 2


def _torus_texture(size: int, spread: float, rng: np.random.Generator) -> Float32:
    """Return grey noise without a seam, amplitude exp(-(k/5)^2) at k cycles an image, no mean."""
    waves = np.fft.rfft2(rng.standard_normal((size, size)))
    k_y, k_x = np.fft.fftfreq(size, 1 / size)[:, None], np.fft.rfftfreq(size, 1 / size)[None, :]
    amplitude = np.exp(-(k_x**2 + k_y**2) / 25.0)
    amplitude[0, 0] = 0.0
    texture = np.fft.irfft2(waves * amplitude, s=(size, size))
    scaled: Float32 = (texture * (spread / texture.std())).astype(np.float32)
    return scaled


def _convex(*corners: tuple[float, float]) -> Float64:
    """Return the edges of a convex polygon as rows (normal x, normal y, distance), ``[E, 3]``."""
    points = np.array(corners)
    steps = np.roll(points, -1, axis=0) - points
    normals = np.stack([steps[:, 1], -steps[:, 0]], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals *= np.sign(((points - points.mean(axis=0)) * normals).sum(axis=1).sum())
    return np.column_stack([normals, (points * normals).sum(axis=1)])


def _box(left: float, top: float, right: float, bottom: float) -> Float64:
    return _convex((left, top), (right, top), (right, bottom), (left, bottom))


def _half_disc() -> Float64:
    """Return half a disc of which one side is flatter, so that it has no mirror axis."""
    angles = np.linspace(0, math.pi, 8)
    reach = np.where(angles < math.pi / 2, 0.75, 1.0)
    corners = zip(reach * np.cos(angles), np.sin(angles) - 0.4, strict=True)
    return _convex(*((float(x), float(y)) for x, y in corners))


# Convex parts in a disc of radius 1, y down. None has a rotational symmetry (its turning would not
# be seen) or a mirror axis.
SHAPES: dict[str, Sequence[Float64]] = {
    "l": (_box(-0.6, -0.8, -0.1, 0.8), _box(-0.6, 0.3, 0.6, 0.8)),
    "half_disc": (_half_disc(),),
    "triangle": (_convex((-0.85, 0.45), (0.9, 0.45), (-0.55, -0.8)),),
    "arrow": (_box(-0.95, -0.2, 0.3, 0.2), _convex((0.1, -0.85), (0.95, 0.0), (0.1, 0.55))),
    "t": (_box(-0.8, -0.6, 0.8, -0.15), _box(-0.05, -0.6, 0.4, 0.9)),
    "flag": (_box(-0.5, -0.85, -0.2, 0.85), _convex((-0.4, -0.85), (0.85, -0.4), (-0.4, 0.05))),
}

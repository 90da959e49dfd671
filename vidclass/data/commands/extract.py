"""``vidclass data extract``: frames of videos as image files in folders."""

from pathlib import Path

import typer

from vidclass.data.commands.progress import tell_progress
from vidclass.data.commands.scanned import GROUP_PATTERN, SOURCE
from vidclass.home import home

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data extract FOLDER --out frames --fps 2 --short-side 240"
EXIT_FAILED = 1
DEFAULT_QUALITY = 95


def command(
    source: str = SOURCE,
    out: Path = typer.Option(..., help="Folder for the frames; a second call goes on in it."),
    fps: float | None = typer.Option(None, min=0.001, help="Frames a second."),
    num_frames: int | None = typer.Option(None, min=1, help="Frames a video, spread evenly."),
    stride: int | None = typer.Option(None, min=1, help="Every n-th frame."),
    short_side: int | None = typer.Option(
        None, min=8, help="Short side in pixels, aspect kept, never scaled up."
    ),
    image: str = typer.Option("jpg", help="Form of the files: jpg or png."),
    quality: int | None = typer.Option(
        None, min=1, max=100, help="Quality of JPEG; 95 where it is left out."
    ),
    group_pattern: str | None = GROUP_PATTERN,
) -> None:
    """Write frames as OUT/VIDEO/000001.jpg, over all CPUs, with a labels.csv of all of them.

    Without a rate or a number all frames are written. Ends with 1 when a video does not decode.
    """
    from vidclass.data.extract import ExtractOptions, extract_frames
    from vidclass.data.readers import read_dataset
    from vidclass.errors import UserError

    rates = {"--fps": fps, "--num-frames": num_frames, "--stride": stride}
    given = [name for name, value in rates.items() if value is not None]
    if len(given) > 1:
        raise UserError("frames are chosen in one way", " and ".join(given), f"only {given[0]}")
    if image not in ("jpg", "png"):
        raise UserError("frames are written as jpg or png", image, "--image jpg")
    if image == "png" and quality is not None:
        raise UserError(
            "quality is of JPEG; png loses nothing",
            f"--quality {quality} --image png",
            "leave one of them out",
        )
    options = ExtractOptions(
        fps=fps,
        num_frames=num_frames,
        stride=stride,
        short_side=short_side,
        image="png" if image == "png" else "jpg",
        quality=DEFAULT_QUALITY if quality is None else quality,
    )
    dataset = read_dataset(source, home=home(), group_pattern=group_pattern, labels_needed=False)
    found = extract_frames(
        dataset, out, options, lambda done, total: tell_progress(done, total, "extracted")
    )
    typer.echo(
        f"{found.num_images} frames of {found.num_videos} videos in {out}, "
        f"{found.num_new} videos of them new"
    )
    for video_id, reason in found.failed.items():
        typer.echo(f"no frames  {video_id}: {reason}")
    if found.failed:
        raise typer.Exit(EXIT_FAILED)

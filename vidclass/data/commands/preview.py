"""``vidclass data preview``: clips as a model sees them."""

from pathlib import Path

import typer

from vidclass.home import home

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data preview fusion_study --arm slow --set data.augment.flip=true"


def command(
    study: str | None = typer.Argument(
        None, help="A study, by name or path; without one, --data in clips of 112 pixels."
    ),
    data: str | None = typer.Option(None, help="A folder of videos, or FORMAT:PATH."),
    arm: str | None = typer.Option(None, help="The arm whose clips are shown; else the first."),
    out: Path = typer.Option(Path("preview"), help="Where .png and .html are added."),
    videos: int = typer.Option(8, min=1, max=200, help="Videos shown, of all classes in turn."),
    draws: int = typer.Option(2, min=1, max=50, help="Training clips of each video."),
    evaluation: bool = typer.Option(False, help="Show the clips that are scored instead."),
    seed: int = typer.Option(0, min=0, help="Seed of the videos and of the training."),
    set_: list[str] = typer.Option([], "--set", help="A field of the study, as a.b=c; repeatable."),
) -> None:
    """Show clips as the model sees them, after choice, cut and augmentation, as PNG and HTML."""
    from vidclass.data.contact_sheet import write_sheet
    from vidclass.sweep.preview import load_preview, preview

    loaded = load_preview(study, data, set_)
    chosen = arm or loaded.spec.arms[0].name
    strips = preview(
        loaded,
        chosen,
        home(),
        num_videos=videos,
        draws=draws,
        seed=seed,
        evaluation=evaluation,
    )
    kind = "scored" if evaluation else "training"
    written = write_sheet(
        strips,
        out,
        title=f"{kind} clips of {chosen} in {loaded.name}",
        about=f"{len(strips)} {kind} clips, seed {seed}, as the model sees them.",
    )
    for path in written:
        typer.echo(f"written: {path}")

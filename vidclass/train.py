"""``vidclass train``: one model on one data set, the same files as a trial of a study."""

import sys
from typing import Annotated

import typer

from vidclass.cli import run_app

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)

EXIT_INTERRUPTED = 130
EXIT_FAILED = 1


@app.command(epilog="Example: vidclass train --model lrcn --data ~/videos --set backbone=resnet50")
def train(
    model: Annotated[str, typer.Option(help="A registered model: `vidclass models` lists them.")],
    data: Annotated[str, typer.Option(help="Folder of videos, or moving_shapes.")],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training videos.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and split.")] = 0,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="An option of the model, a training field, or data.FIELD of a study file.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of its folder in HOME/studies; else made of a hash.")
    ] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option("--plugin", help="Python file or module with your own models."),
    ] = None,
) -> None:
    """Train one model and score it on the test set, once. The same command again goes on with it.

    No search, no floors, no verdict: those are a study's (`vidclass sweep run`).
    """
    from vidclass.home import home
    from vidclass.plugins import load_plugin
    from vidclass.sweep import single
    from vidclass.sweep.screen import Screen

    for one in plugin or []:
        load_plugin(one)
    loaded = single.training_study(
        model, data, epochs=epochs, seed=seed, name=name, overrides=tuple(override or ())
    )
    single.refuse_several_folds(loaded.spec)
    screen = Screen()
    screen.say(f"training {loaded.name}")
    trained = single.train(loaded, home(), screen)
    if trained.interrupted:
        screen.say("interrupted: what was trained is kept. To go on, run the same again.")
        sys.exit(EXIT_INTERRUPTED)
    screen.say(f"ended    {trained.trial.status}: {trained.trial.reason}")
    if not trained.metrics:
        sys.exit(EXIT_FAILED)
    told = ", ".join(f"{key} {value:.4f}" for key, value in trained.metrics.items())
    screen.say(f"test     {told} (scored once)")
    screen.say(f"files    {trained.folder / 'artifacts' / trained.trial.trial}")
    arm = loaded.spec.arms[0].name
    screen.say(
        f'use it   python -c "import vidclass; '
        f"print(vidclass.load_study('{trained.name}').best_model('{arm}').predict('VIDEO.mp4').T)\""
    )


if __name__ == "__main__":
    run_app(app)

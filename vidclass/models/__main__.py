"""``vidclass models``: list the models, show, measure and test one."""

from typing import Annotated, Any

import typer

from vidclass.cli import run_app

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)

Name = Annotated[str, typer.Argument(help="A registered model, such as early_fusion.")]
Plugins = Annotated[
    list[str] | None, typer.Option("--plugin", help="Python file or module with your own models.")
]
Options = Annotated[
    list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Another value.")
]


@app.callback(invoke_without_command=True, epilog="Example: vidclass models list '*_fusion'")
def _root(context: typer.Context) -> None:
    """List the models, show, measure and test one; alone it lists all."""
    if context.invoked_subcommand is None:
        list_all()


@app.command("list", epilog="Example: vidclass models list '*_fusion'")
def list_all(
    pattern: Annotated[str, typer.Argument(help="Names to list, as in a shell.")] = "*",
    plugin: Plugins = None,
) -> None:
    """List models with what they see, their parameters and what a clip costs."""
    from vidclass.models.describe import models_table

    _load(plugin)
    typer.echo(models_table(pattern))


@app.command(epilog="Example: vidclass models show slow_fusion --set width=0.5")
def show(
    name: Name,
    options: Options = None,
    classes: Annotated[int, typer.Option(min=2, help="Classes of the last layer.")] = 101,
    plugin: Plugins = None,
) -> None:
    """Show a model: frames, parameters, cost, the rule of its first layer, its options."""
    from vidclass.models.describe import show_model

    _load(plugin)
    typer.echo(show_model(name, classes, **_parsed(options)))


@app.command(epilog="Example: vidclass models test my_model --plugin my_model.py")
def test(name: Name, options: Options = None, plugin: Plugins = None) -> None:
    """Check that a model holds what training, sweeps and reports rely on; needs no data."""
    from vidclass.models.contract import CHECKS, check_model

    _load(plugin)
    check_model(name, **_parsed(options))
    typer.echo(f"{name} holds all {len(CHECKS)} promises of the contract")


@app.command(epilog="Example: vidclass models profile r3d_18 --batch 4")
def profile(
    name: Name,
    options: Options = None,
    classes: Annotated[int, typer.Option(min=2, help="Classes of the last layer.")] = 101,
    batch: Annotated[int, typer.Option(min=2, help="Clips at a time, besides one.")] = 8,
    plugin: Plugins = None,
) -> None:
    """Measure a model on this machine: time of a clip and a batch, clips a second, memory."""
    from vidclass.models.measure import measure, measured_text

    _load(plugin)
    typer.echo(measured_text(name, *measure(name, classes, batch=batch, **_parsed(options))))


def _load(plugins: list[str] | None) -> None:
    from vidclass.plugins import load_plugin

    for plugin in plugins or []:
        load_plugin(plugin)


def _parsed(options: list[str] | None) -> dict[str, Any]:
    """Return OPTION=VALUE pairs with their values read as YAML, as in a study file."""
    from vidclass.assignment import read_assignment

    form, example = "OPTION=VALUE", "width=0.5"
    return dict(read_assignment(item, form=form, example=example) for item in options or [])


if __name__ == "__main__":
    run_app(app)

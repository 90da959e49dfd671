"""``vidclass report STUDY``: write the report of a study, also of one that still runs."""

from pathlib import Path

import typer

from vidclass.cli import run_app
from vidclass.home import home
from vidclass.report.collect import find_study_folder
from vidclass.report.render import render_report

app = typer.Typer(pretty_exceptions_enable=False)


@app.command(epilog="Example: vidclass report fusion_study --out reports/fusion_study")
def report(
    study: str = typer.Argument(..., help="Name of the study, or its folder."),
    out: Path | None = typer.Option(None, help="Folder for the copy [default: reports/STUDY]."),
) -> None:
    """Write the report into the study's folder, and a copy of it to reports/STUDY."""
    root = home()
    folder = find_study_folder(study, root)
    target = out or Path("reports") / folder.name
    rendered = render_report(folder, root, target)
    typer.echo(rendered.verdict)
    typer.echo(f"report: {rendered.html}")
    typer.echo(f"copy:   {target}")


if __name__ == "__main__":
    run_app(app, prog_name="python -m vidclass.report")

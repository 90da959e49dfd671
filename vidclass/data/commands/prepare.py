"""``vidclass data prepare``: decode the videos of a source into a frame store, before a study."""

from typing import TYPE_CHECKING

import typer

from vidclass.data.commands.progress import tell_progress
from vidclass.home import home

if TYPE_CHECKING:
    from vidclass.data.pipeline import Prepared
    from vidclass.data.store_options import StoreOptions

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data prepare FOLDER --set short_side=128 --set format=jpeg"


def command(
    source: str = typer.Argument(
        ..., help="A folder, a table, or FORMAT:PATH where the format is not plain."
    ),
    group_pattern: str | None = typer.Option(
        None, help="Regular expression; its first bracket, found in a file's name, is the group."
    ),
    set_: list[str] = typer.Option(
        [], "--set", help="A field of data.store, as short_side=128; repeatable."
    ),
) -> None:
    """Decode videos into a frame store, over all CPUs; a study with the same options uses it."""
    from vidclass.data.pipeline import Progress, prepare
    from vidclass.data.readers import read_dataset

    def told(progress: Progress) -> None:
        tell_progress(progress.done, progress.total, progress.stage)

    options = _options(set_)
    dataset = read_dataset(source, home=home(), group_pattern=group_pattern, labels_needed=False)
    for line in _lines(prepare(dataset, options, home(), told)):
        typer.echo(line)


def _options(items: list[str]) -> "StoreOptions":
    import yaml
    from pydantic import ValidationError

    from vidclass.data.store_options import StoreOptions
    from vidclass.errors import UserError, UserErrors
    from vidclass.sweep.mistakes import told

    fields = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UserError("--set takes NAME=VALUE", item, "for example --set short_side=128")
        try:
            fields[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(
                "the value of --set is YAML", item, "quote it: --set 'fps=10'"
            ) from error
    try:
        return StoreOptions.model_validate(fields)
    except ValidationError as error:
        raise UserErrors(told(error, {}, "--set")) from None


def _lines(prepared: "Prepared") -> list[str]:
    index, about = prepared.store.index, prepared.store.about
    frames, raw_bytes = index["T"], index["T"] * index["H"] * index["W"] * 3
    bad = prepared.manifest[prepared.manifest["status"] != "ok"]
    size = f"{about['num_bytes'] / 1e6:.1f} MB"
    if about["num_bytes"] != raw_bytes.sum():
        size += f" ({raw_bytes.sum() / 1e6:.1f} MB as raw RGB)"
    seconds = ", ".join(f"{part} {value:.1f}" for part, value in prepared.seconds.items())
    return [
        f"{len(index)} of {len(prepared.manifest)} videos, {frames.sum()} frames, {size}",
        f"read by: {', '.join(f'{name}: {n}' for name, n in prepared.readers.items())}",
        *(f"quarantined: {row.video_id}: {row.reason}" for row in bad.itertuples()),
        f"decoded now: {prepared.decoded}; seconds: {seconds}",
        f"store: {prepared.store.path}",
    ]

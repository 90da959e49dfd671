"""From a study's name to a checked ``StudySpec``: finding, reading, overriding, telling mistakes.

All mistakes of a file are told at once, each with its line.
"""

import difflib
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vidclass.data.readers import absolute_source
from vidclass.data.synthetic import PRESETS
from vidclass.errors import UserError, UserErrors, raise_collected
from vidclass.models import list_models, model_entry
from vidclass.sweep.arm_data import (
    FIELDS,
    PREFIX,
    SECTIONS,
    arm_data_fields,
    data_of_arm,
    framewise_mistakes,
    worker_mistakes,
)
from vidclass.sweep.arm_stores import field_mistakes, searched_stores, size_mistakes
from vidclass.sweep.hashing import SHAPES_NO_RESULT, results_hash
from vidclass.sweep.idle_fields import idle_fields
from vidclass.sweep.mistakes import line_numbers, line_of, told
from vidclass.sweep.overrides import put, read_override
from vidclass.sweep.refit import refit_mistakes
from vidclass.sweep.smoke import smoke_changes
from vidclass.sweep.spec import ArmSpec, RangeSpec, StudySpec
from vidclass.training.config import TrainConfig

__all__ = [
    "SHAPES_NO_RESULT",
    "LoadedStudy",
    "corners",
    "find_study",
    "load_study_file",
    "parse_study",
    "results_hash",
    "trial_config",
]

FROM_COMMAND_LINE = "--data"
"""Source of a study that has no videos of its own."""


@dataclass(frozen=True)
class LoadedStudy:
    """A checked study and where it came from."""

    spec: StudySpec
    name: str
    """Folder name: the study's own, or NAME@hash8 where something was overridden."""
    source: str
    """The file it was read from."""
    command: str
    """What to type to run it again; a folder of videos is named FOLDER, as it lies elsewhere."""
    videos: str
    """The folder or the name of the data set: a path of this machine is no part of a study."""


def packaged_studies() -> Iterator[tuple[str, Path]]:
    """Yield name and path of the study files that ship with vidclass."""
    inside = Path(str(resources.files("vidclass"))) / "sweeps"
    beside = Path(str(resources.files("vidclass"))).parent / "sweeps"  # an editable install
    for folder in (inside, beside):
        if folder.is_dir():
            for path in sorted(folder.glob("*.yaml")):
                yield path.stem, path
            return


def find_study(name: str) -> Path:
    """Return the file of ``name``: a path, then ./sweeps/NAME.yaml, then the packaged one.

    Raises:
        UserError: when there is none; it names the studies that exist.
    """
    packaged = dict(packaged_studies())
    candidates = [Path(name), Path("sweeps") / f"{name}.yaml"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if name in packaged:
        return packaged[name]
    known = sorted({*packaged, *(path.stem for path in Path("sweeps").glob("*.yaml"))})
    close = difflib.get_close_matches(name, known, n=1)
    raise UserError(
        "a study is a path, a file sweeps/NAME.yaml or one of the packaged studies",
        name,
        f"did you mean {close[0]}?" if close else f"one of: {', '.join(known) or 'none here'}",
    )


def load_study_file(
    name: str,
    *,
    profile: str | None = None,
    data: str | None = None,
    smoke: bool = False,
    overrides: Sequence[str] = (),
    look_only: bool = False,
) -> LoadedStudy:
    """Read, override and check a study.

    Args:
        name: path or name, see ``find_study``.
        profile: value of ``--profile``.
        data: value of ``--data``, a folder of videos.
        smoke: whether ``--smoke`` was given.
        overrides: values of ``--set``, each ``a.b=c`` with c read as YAML.
        look_only: whether the study will not be run, so that it needs no videos.

    Raises:
        UserError: for an unknown study or an override that can't be read.
        UserErrors: with every mistake of the file.
    """
    path = find_study(name)
    text = _text_of(path)
    plain = parse_study(text, source=str(path))
    changes: dict[str, Any] = {}
    if smoke:
        own_videos = data is not None or plain.data.source != FROM_COMMAND_LINE
        changes |= smoke_changes(plain, own_videos=own_videos)
    if profile is not None:
        changes["profile"] = profile
    changes |= dict(read_override(item) for item in overrides)
    if data is not None and plain.data.source != FROM_COMMAND_LINE:
        changes["data.source"] = f"{FROM_COMMAND_LINE} {Path(data).name}"
    spec = parse_study(text, source=str(path), changes=changes)
    videos = absolute_source(data) if data is not None else spec.data.source
    if videos == FROM_COMMAND_LINE and not look_only:
        raise UserError(
            f"the study {spec.study} has no videos of its own",
            "no --data",
            f"python -m vidclass.sweep {name} --data FOLDER; {path} says where to get them",
        )
    own_hash = results_hash(spec)
    named = spec.study if own_hash == results_hash(plain) else f"{spec.study}@{own_hash[:8]}"
    words = ["python -m vidclass.sweep", Path(name).stem]
    words += ["--smoke"] * smoke
    words += [f"--profile {profile}"] if profile else []
    words += ["--data FOLDER"] if data else []
    words += [f"--set {shlex.quote(item)}" for item in overrides]
    return LoadedStudy(
        spec=spec, name=named, source=str(path), command=" ".join(words), videos=videos
    )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            "a study file is a text in UTF-8", f"{path}: {error}", "save it as UTF-8"
        ) from None


def parse_study(
    text: str, *, source: str = "study", changes: dict[str, Any] | None = None
) -> StudySpec:
    """Return the checked spec of the YAML ``text`` with ``changes`` (dotted path to value) made.

    Raises:
        UserError: when the text is not YAML or not a mapping.
        UserErrors: with every mistake found, each with its line.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(
            "a study file is YAML", f"{source}: {error}", "mend the line named"
        ) from None
    if not isinstance(content, dict) or tree is None:
        raise UserError(
            "a study file is a mapping of fields", source, "start from sweeps/smoke.yaml"
        )
    for dotted, value in (changes or {}).items():
        put(content, dotted, value)
    lines = dict(line_numbers(tree, ()))
    try:
        spec = StudySpec.model_validate(content)
    except ValidationError as error:
        raise UserErrors(told(error, lines, source)) from None
    raise_collected(list(_cross_checks(spec, lines, source)))
    return spec


def trial_config(spec: StudySpec, arm: ArmSpec, params: dict[str, Any]) -> dict[str, Any]:
    """Return the full configuration of a trial: every model option and training field, resolved.

    Returns:
        ``{"model": name, "options": {...}, "train": {...}}``, and ``"data"`` with the sections of
        `data` that are the arm's own.

    Raises:
        UserErrors: when a value is outside what the model or the training allows.
    """
    entry = model_entry(arm.model)
    given: dict[str, Any] = {**spec.train, **arm.fixed, **params}
    own = {key: given.pop(key) for key in list(given) if key.startswith(PREFIX)}
    train = {key: value for key, value in given.items() if key in TrainConfig.model_fields}
    options = {key: value for key, value in given.items() if key not in TrainConfig.model_fields}
    config: dict[str, Any] = {"model": arm.model}
    mistakes: list[UserError] = []
    data = spec.data
    try:
        data = data_of_arm(data, own)
    except ValidationError as error:
        mistakes += told(error, {}, f"arm {arm.name}")
    if own:  # an arm without fields of its own has the study's, which are not written again
        config["data"] = data.model_dump(mode="json", include={*SECTIONS, *FIELDS})
    options |= {"input_size": data.input_size, "window_frames": data.window.num_frames}
    train["epochs"] = spec.budget.epochs
    for part, schema, values in (
        ("options", entry.options, options),
        ("train", TrainConfig, train),
    ):
        try:
            config[part] = schema.model_validate(values).model_dump(mode="json")
        except ValidationError as error:
            mistakes += told(error, {}, f"arm {arm.name}")
    if "options" in config:
        checked = entry.options.model_validate(config["options"])
        mistakes += size_mistakes(arm, entry, checked, data)
    if entry.framewise:
        mistakes += framewise_mistakes(spec, arm, train)
    mistakes += worker_mistakes(spec, arm, config.get("train", {}))
    mistakes += refit_mistakes(spec, arm, train)
    if train.get("pretrain_epochs") and not entry.pretrains:
        able = ", ".join(name for name in list_models() if model_entry(name).pretrains)
        mistakes.append(
            UserError(
                "pretrain_epochs are for models that can learn without labels",
                f"arm {arm.name}: {arm.model}",
                f"one of {able}; or leave pretrain_epochs out",
            )
        )
    raise_collected(mistakes)
    return config


def _cross_checks(
    spec: StudySpec, lines: dict[tuple[Any, ...], int], source: str
) -> Iterator[UserError]:
    names = [arm.name for arm in spec.arms]
    if not names:
        yield UserError("a study compares one arm or more", "no arms", "see sweeps/smoke.yaml")
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield UserError("every arm has a name of its own", f"{name} twice", "rename one of them")
    if spec.comparisons == "vs_control" and spec.control not in names:
        yield UserError(
            "vs_control needs `control`, the name of an arm",
            spec.control,
            f"one of: {', '.join(names)}",
        )
    if spec.comparisons != "vs_control" and spec.control is not None:
        yield UserError(
            "`control` is the arm that `comparisons: vs_control` compares with",
            f"control {spec.control} with comparisons {spec.comparisons}",
            "comparisons: vs_control, or no control",
        )
    if spec.data.source == "moving_shapes" and spec.data.preset not in PRESETS:
        where = line_of(lines, ("data", "preset"), source)
        yield UserError(
            "a preset of moving_shapes is one of those that vidclass knows",
            f"{spec.data.preset} ({where})",
            f"one of {', '.join(PRESETS)}",
        )
    yield from idle_fields(spec, lines, source)
    mistakes = list(_train_checks(spec, lines, source))
    yield from mistakes
    if mistakes:  # told once, not again with every arm that takes them
        spec = spec.model_copy(update={"train": {}})
    for number, arm in enumerate(spec.arms):
        yield from _arm_checks(spec, arm, number, lines, source)


def _train_checks(
    spec: StudySpec, lines: dict[tuple[Any, ...], int], source: str
) -> Iterator[UserError]:
    """Check each field of `train` by itself: a search of the same must not hide a mistake."""
    known = list(TrainConfig.model_fields)
    for key in spec.train:
        yield from _field_known(key, known, ("train", key), lines, source)
    given = {key: value for key, value in spec.train.items() if key in known}
    try:
        TrainConfig.model_validate(given | {"epochs": spec.budget.epochs})
    except ValidationError as error:
        within = {at[1:]: line for at, line in lines.items() if at[:1] == ("train",)}
        yield from told(error, within, source, fields_only=True)


def _arm_checks(
    spec: StudySpec, arm: ArmSpec, number: int, lines: dict[tuple[Any, ...], int], source: str
) -> Iterator[UserError]:
    at = ("arms", number)
    try:
        entry = model_entry(arm.model)
    except UserError as error:
        where = line_of(lines, (*at, "model"), source)
        yield UserError(error.rule, f"{error.received} ({where})", error.remedy)
        return
    known = [*entry.options.model_fields, *TrainConfig.model_fields, *arm_data_fields()]
    mistakes = [
        mistake
        for part, keys in (("fixed", arm.fixed), ("search", arm.search), ("start", arm.start))
        for key in keys
        for mistake in _field_known(key, known, (*at, part, key), lines, source)
    ]
    for key in sorted(set(arm.fixed) & set(arm.search)):
        mistakes.append(
            UserError(
                "a field of an arm is fixed or searched",
                f"{key} is both ({line_of(lines, (*at, 'search', key), source)})",
                f"take {key} out of `fixed` or out of `search`",
            )
        )
    for key in sorted(set(arm.start) - set(arm.search)):
        mistakes.append(
            UserError(
                "`start` names searched fields only",
                f"{key} ({line_of(lines, (*at, 'start', key), source)})",
                f"search {key}, or move it to `fixed`",
            )
        )
    mistakes += field_mistakes(spec, arm, at, lines, source)
    if mistakes:
        yield from mistakes
        return
    for corner in corners(arm):
        try:
            trial_config(spec, arm, corner)
        except UserErrors as errors:
            where = line_of(lines, at, source)
            for found in errors.errors:
                yield UserError(found.rule, f"{found.received} ({where})", found.remedy)
            return


def corners(arm: ArmSpec) -> Iterator[dict[str, Any]]:
    """Yield the extreme points of a space: where they pass, bounds hold inside too."""
    low = {k: r.low if isinstance(r, RangeSpec) else r[0] for k, r in arm.search.items()}
    whole = {k for k, r in arm.search.items() if isinstance(r, RangeSpec) and r.type == "int"}
    low = {key: int(value) if key in whole else value for key, value in low.items()}
    for stores in searched_stores(arm):
        yield {**low, **stores}
        for key, range_ in arm.search.items():
            if key in stores:
                continue
            for value in [range_.high] if isinstance(range_, RangeSpec) else range_[1:]:
                yield {**low, **stores, key: int(value) if key in whole else value}
    if arm.start:
        yield {**low, **arm.start}


def _field_known(
    key: str, known: list[str], at: tuple[Any, ...], lines: dict[tuple[Any, ...], int], source: str
) -> Iterator[UserError]:
    if key in known:
        return
    close = difflib.get_close_matches(key, known, n=1)
    yield UserError(
        "fields of an arm are options of its model, training fields or `data.` and a field of data",
        f"{key} ({line_of(lines, at, source)})",
        f"did you mean {close[0]}?" if close else f"one of: {', '.join(known)}",
    )

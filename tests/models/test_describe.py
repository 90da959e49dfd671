import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vidclass.errors import UserError
from vidclass.models import list_models, model_entry
from vidclass.models.describe import (
    COUNTED,
    counted_anew,
    model_rows,
    models_table,
    option_rows,
    show_model,
)
from vidclass.models.trunk import GEOMETRY_RULE, TrunkOptions


def test_table_has_a_row_for_every_model() -> None:
    lines = models_table().splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(list_models())]] == list_models()
    assert "25,141,413" in models_table("single*") and "early" not in models_table("single*")


@pytest.mark.parametrize("name", list_models())
def test_the_table_has_what_is_counted(name: str) -> None:
    (row,) = model_rows(name)
    parameters, gmacs = counted_anew(name)
    assert row.parameters == parameters, "python docs/count_models.py"
    assert row.gmacs == pytest.approx(gmacs, rel=1e-5)


def test_the_page_of_arms_shows_what_is_listed(repository: Path) -> None:
    page = (repository / "docs" / "arms.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```\n(model  .*?)```", page, re.DOTALL)
    listed = {" ".join(line.split()) for line in models_table().splitlines()}
    shown = {" ".join(line.split()) for line in block.splitlines()}
    assert len(shown) == 6 and shown <= listed


def test_no_model_that_is_gone_has_a_row() -> None:
    with COUNTED.open(newline="", encoding="utf-8") as file:
        assert [row["model"] for row in csv.DictReader(file)] == list_models()


def test_large_optional_packages_are_imported_by_the_models_that_need_them_alone() -> None:
    code = (
        "import sys; from vidclass.models.describe import models_table, show_model;"
        "models_table(); show_model('slow_fusion');"
        "print(sorted({'timm', 'transformers', 'ray', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pattern_without_a_match_is_told() -> None:
    with pytest.raises(UserError, match="vidclass models"):
        model_rows("lstmm*")


@pytest.mark.parametrize("name", list_models())
def test_show_explains_every_option_and_the_geometry(name: str) -> None:
    text = show_model(name, 8, **model_entry(name).quick_options)
    words = " ".join(text.split())
    assert (GEOMETRY_RULE in words) == issubclass(model_entry(name).options, TrunkOptions)
    for row in option_rows(name):
        assert row.name in model_entry(name).options.model_fields
        assert row.meaning and row.meaning in words


def test_show_names_frames_and_costs_of_the_given_options() -> None:
    words = " ".join(show_model("late_fusion", 8, frame_distance=9, input_size=32).split())
    assert "Sees frames 0, 9 of 10, at 32 x 32 px" in words and "With 8 classes" in words
    drawn = " ".join(show_model("single_frame", frame="random").split())
    assert "one frame of 10, drawn a clip" in drawn


def test_show_tells_what_is_trained_and_what_is_kept() -> None:
    quick = dict(model_entry("lrcn").quick_options)
    words = " ".join(show_model("lrcn", 8, **quick).split())
    assert "what squeezenet1_1 makes of a frame is computed once" in words and "trained)" in words
    assert "computed once" not in show_model("lrcn", 8, **quick, cache_features=False)


@pytest.mark.parametrize(
    ("model", "option", "values", "default", "searchable"),
    [
        ("single_frame", "width", "float > 0 <= 4", "1.0", True),
        ("single_frame", "norm", "batch|lrn|lrn_framework|layer|none", "batch", True),
        ("single_frame", "frame_index", "int or null >= 0", "None", True),
        ("single_frame", "input_size", "int >= 1 <= 4096", "170", False),
        ("late_fusion", "shared_towers", "bool", "True", True),
    ],
)
def test_options_tell_their_values(
    model: str, option: str, values: str, default: str, searchable: bool
) -> None:
    (row,) = [row for row in option_rows(model) if row.name == option]
    assert (row.values, row.default, row.searchable) == (values, default, searchable)


def test_table_tells_where_weights_come_from() -> None:
    weights = {row.name: row.weights for row in model_rows("*3d*")}
    assert weights["r3d_18"] == "kinetics, torchvision, BSD-3-Clause"
    assert weights["i3d"] == weights["c3d"] == "-"
    (lrcn,) = model_rows("lrcn")
    assert lrcn.weights == "imagenet, torchvision, BSD-3-Clause"

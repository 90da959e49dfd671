"""What a cluster that grows on demand can have, from its own file."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from vidclass.sweep.cluster import could_have

HEAD = {"resources": {"CPU": 0}, "max_workers": 0}


def config(most: int, **types: tuple[dict[str, float], int]) -> dict[str, Any]:
    nodes = {name: {"resources": r, "max_workers": n} for name, (r, n) in types.items()}
    return {
        "max_workers": most,
        "head_node_type": "head",
        "available_node_types": {"head": HEAD, **nodes},
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (config(8, gpu=({"CPU": 8, "GPU": 1}, 8)), {"CPU": 64, "GPU": 8}),
        # eight machines in all, whatever each kind may have
        (
            config(8, gpu=({"CPU": 8, "GPU": 1}, 8), cpu=({"CPU": 16}, 4)),
            {"CPU": 4 * 16 + 4 * 8, "GPU": 8},
        ),
        (config(2, gpu=({"GPU": 4}, 8)), {"CPU": 0, "GPU": 8}),
        (config(4, asked_of_the_cloud=({}, 4)), {"CPU": 0, "GPU": 0}),
        ({"provider": {"type": "local"}, "max_workers": 2}, {"CPU": 0, "GPU": 0}),
    ],
)
def test_the_largest_it_gets(content: dict[str, Any], expected: dict[str, float]) -> None:
    assert could_have(content) == expected


def test_a_fallback_takes_the_place_of_what_it_stands_in_for() -> None:
    content = config(8, spot=({"GPU": 1}, 4), ondemand=({"GPU": 1}, 2), other=({"GPU": 2}, 1))
    assert could_have(content)["GPU"] == 8
    content["available_node_types"]["spot"]["priority"] = 1
    assert could_have(content)["GPU"] == 6


def test_the_shipped_file_grows_to_its_spot_machines(repository: Path) -> None:
    content = yaml.safe_load((repository / "cluster.yaml").read_text())
    gpus = content["available_node_types"]["gpu_spot"]["max_workers"]
    assert could_have(content)["GPU"] == gpus

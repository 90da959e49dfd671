"""A share of the groups: whole groups, every class kept, smaller shares inside larger ones."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidclass.data.subset import share_of_groups

tables = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=60).map(
    lambda rows: pd.DataFrame(
        {
            "video_id": [f"v{number}" for number in range(len(rows))],
            "group": [f"g{group}" for group, _ in rows],
            # a group has one class here, so that a class's groups can be counted
            "label_id": [group % 4 for group, _ in rows],
        }
    )
)


@given(tables, st.sampled_from([0.1, 0.25, 0.5, 0.9]), st.integers(0, 5))
def test_whole_groups_and_every_class(table: pd.DataFrame, share: float, seed: int) -> None:
    kept = share_of_groups(table, share, seed=seed)
    groups = set(kept["group"])
    assert len(kept) == table["group"].isin(groups).sum()
    for _, rows in table.groupby("label_id"):
        own = set(rows["group"])
        assert len(own & groups) == -(-len(own) * share // 1)


@given(tables, st.integers(0, 5))
def test_a_smaller_share_lies_in_a_larger_one(table: pd.DataFrame, seed: int) -> None:
    parts = [set(share_of_groups(table, s, seed=seed)["video_id"]) for s in (0.25, 0.5, 1.0)]
    assert parts[0] <= parts[1] <= parts[2] == set(table["video_id"])


def test_a_group_of_several_labels_counts_for_its_most_frequent_one() -> None:
    table = pd.DataFrame({"video_id": range(12), "group": [f"g{n // 2}" for n in range(12)]})
    table["label_ids"] = [(0,), (0, 1)] * 2 + [(1,), (1, 0)] * 2 + [(), ()] * 2
    kept = share_of_groups(table, 0.5, seed=0)
    assert [len(set(kept["group"]) & set(pair)) for pair in (("g0", "g1"), ("g2", "g3"))] == [1, 1]
    assert len(kept) == 6


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_keep_their_order(seed: int) -> None:
    table = pd.DataFrame(
        {"video_id": list("abcdef"), "group": list("xxyyzz"), "label_id": [0, 0, 1, 1, 0, 0]}
    )
    kept = share_of_groups(table, 0.5, seed=seed)
    assert kept["video_id"].is_monotonic_increasing
    assert set(kept["label_id"]) == {0, 1}

"""The policy by which studies share a cluster: a table of cases, and what holds for all claims."""

from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vidclass.sweep.sharing import Claim, decode_reserve, entitled, may_take

CPU = {"CPU": 1.0}
GPU = {"CPU": 1.0, "GPU": 1.0}


def claim(study: str, wanted: int, size: dict[str, float] = CPU, **fields: object) -> Claim:
    """Return a claim; studies come in the order of their names."""
    return Claim(study, size, wanted, since=float(ord(study[0])), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("claims", "capacity", "expected"),
    [
        ([claim("a", 8)], {"CPU": 8.0}, {"a": 8}),
        ([claim("a", 3)], {"CPU": 8.0}, {"a": 3}),
        # alone it asks for what is not there yet, so that the autoscaler brings it
        ([claim("a", 3)], {}, {"a": 3}),
        # one CPU of eight is left to decoding
        ([claim("a", 8), claim("b", 8)], {"CPU": 8.0}, {"a": 4, "b": 3}),
        ([claim("a", 1), claim("b", 8)], {"CPU": 8.0}, {"a": 1, "b": 6}),
        # priority takes all but the others' first slot
        ([claim("a", 8), claim("b", 8, priority=1)], {"CPU": 8.0}, {"a": 1, "b": 6}),
        # a cap lets the lower priority have what is left
        ([claim("a", 8), claim("b", 2, priority=1)], {"CPU": 8.0}, {"a": 5, "b": 2}),
        # two CPUs have none to spare, and there is one slot each
        ([claim("a", 2), claim("b", 2)], {"CPU": 2.0}, {"a": 1, "b": 1}),
        # more studies than slots: the last to come waits, unless its priority is higher
        ([claim("a", 2), claim("b", 2), claim("c", 2)], {"CPU": 2.0}, {"a": 1, "b": 1, "c": 0}),
        (
            [claim("a", 2), claim("b", 2), claim("c", 2, priority=1)],
            {"CPU": 2.0},
            {"a": 1, "b": 0, "c": 1},
        ),
        # one that decodes gets its share of the CPUs, and those that trials leave
        (
            [claim("a", 4, GPU), claim("b", 32, decodes=True)],
            {"CPU": 32.0, "GPU": 4.0},
            {"a": 4, "b": 28},
        ),
        ([claim("a", 4), claim("b", 4, decodes=True)], {"CPU": 4.0}, {"a": 2, "b": 2}),
        # slots of different sizes: equal shares of the scarce thing, not equal counts
        (
            [claim("a", 9, {"CPU": 1.0, "GPU": 0.5}), claim("b", 9, GPU)],
            {"CPU": 32.0, "GPU": 4.0},
            {"a": 4, "b": 2},
        ),
        ([claim("a", 2, GPU), claim("b", 2)], {"CPU": 4.0}, {"a": 0, "b": 2}),
        ([], {"CPU": 4.0}, {}),
    ],
)
def test_shares(claims: list[Claim], capacity: dict[str, float], expected: dict[str, int]) -> None:
    assert entitled(claims, capacity) == expected


def test_nothing_is_taken_from_a_trial_that_runs() -> None:
    capacity = {"CPU": 4.0}
    claims = [claim("a", 4, held=4), claim("b", 4)]
    assert may_take("b", claims, capacity) == 0
    claims = [claim("a", 4, held=2), claim("b", 4)]
    assert may_take("a", claims, capacity) == 0
    assert may_take("b", claims, capacity) == 1


def test_the_reserve_is_what_trials_leave() -> None:
    two = [claim("a", 4), claim("b", 4)]
    assert decode_reserve(two[:1], {"CPU": 64.0}) == 0
    assert decode_reserve(two, {"CPU": 64.0}) == 8
    assert decode_reserve(two, {"CPU": 4.0}) == 1
    assert decode_reserve(two, {"CPU": 2.0}) == 0
    decoding = [claim("a", 4, held=3), claim("b", 4, decodes=True)]
    assert may_take("b", decoding, {"CPU": 4.0}) == 1


claims_of_many = st.lists(
    st.builds(
        Claim,
        study=st.uuids().map(str),
        size=st.sampled_from([CPU, GPU, {"CPU": 1.0, "GPU": 0.5}, {"CPU": 2.0}]),
        wanted=st.integers(1, 12),
        priority=st.integers(-2, 2),
        since=st.floats(0, 100),
        decodes=st.booleans(),
    ),
    max_size=6,
)
clusters = st.fixed_dictionaries({"CPU": st.integers(1, 40), "GPU": st.integers(0, 6)}).map(
    lambda sizes: {name: float(count) for name, count in sizes.items()}
)


def used(claims: Sequence[Claim], given: dict[str, int], name: str) -> float:
    return sum(c.size.get(name, 0.0) * given[c.study] for c in claims)


@settings(deadline=None, max_examples=40)
@given(claims_of_many, clusters)
def test_no_more_is_given_than_there_is_or_than_is_wanted(
    claims: list[Claim], capacity: dict[str, float]
) -> None:
    assume(len(claims) != 1)
    shares = entitled(claims, capacity)
    assert all(shares[c.study] <= c.wanted for c in claims)
    for name, amount in capacity.items():
        assert used(claims, shares, name) <= amount + 1e-6
    trials = [c for c in claims if not c.decodes]
    left = capacity["CPU"] - decode_reserve(claims, capacity)
    assert used(trials, shares, "CPU") <= left + 1e-6


@settings(deadline=None, max_examples=40)
@given(claims_of_many, clusters)
def test_taking_one_after_the_other_ends_with_everything_that_fits_in_use(
    claims: list[Claim], capacity: dict[str, float]
) -> None:
    """Whoever may take a slot takes it, in any order: nobody waits for ever with room left."""
    held = dict.fromkeys((c.study for c in claims), 0)
    for _ in range(200):
        now = [
            Claim(c.study, c.size, c.wanted, held[c.study], c.priority, c.since, c.decodes)
            for c in claims
        ]
        able = [c.study for c in now if may_take(c.study, now, capacity)]
        if not able:
            break
        held[able[-1]] += 1
    assert held == entitled(claims, capacity)

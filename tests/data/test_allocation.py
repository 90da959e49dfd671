"""Groups of one class go the short way, and nowhere else than by the long one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vidclass.data.allocation import _Parts

STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(0, 9)), min_size=1)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.lists(st.floats(0.05, 1), min_size=2, max_size=5), st.integers(1, 2))
def test_plain_numbers_and_arrays_choose_the_same_parts(steps, shares, least):
    column = np.array([k for k, _, _ in steps])
    count = np.array([number for _, number, _ in steps])
    parts = _Parts(np.array(shares) / sum(shares), np.full(4, least), column, count)
    for k, number, choice in steps:
        best = parts.best(k, number)
        assert best == parts.best(np.array([k]), np.array([number]))
        parts.give(best[choice % len(best)], k, number)

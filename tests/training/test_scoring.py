import numpy as np
import pytest

from vidclass.training.scoring import right_samples, scores, thresholds_of


@pytest.mark.parametrize("several", [False, True])
def test_the_samples_that_are_right_make_the_score(several: bool) -> None:
    generator = np.random.default_rng(3)
    prob_NK = generator.random((50, 4), dtype=np.float32)
    labels = generator.integers(0, 2, (50, 4)) if several else generator.integers(0, 4, 50)
    thresholds = thresholds_of(labels, prob_NK)
    right_N = right_samples(labels, prob_NK, thresholds)
    assert right_N.shape == (50,)
    name = "exact_match" if several else "accuracy"
    assert right_N.mean() == pytest.approx(scores(labels, prob_NK, thresholds)[name])
    assert 0 < right_N.sum() < 50

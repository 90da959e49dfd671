"""Options of the store: what is refused, and what a key is made of."""

import pytest
from pydantic import ValidationError

from vidclass.data.store_options import Mask, StoreOptions

CLOCK = {"left": 0.1, "top": 0.9, "right": 0.3, "bottom": 1.0}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"quality": 80}, "quality belongs to format jpeg"),
        ({"format": "jpeg", "quality": 0}, "greater than or equal to 1"),
        ({"format": "png"}, "'raw' or 'jpeg'"),
        ({"lighting": "max"}, "'mean' or 'mean_std'"),
        ({"masks": [{**CLOCK, "right": 0.1}]}, "left is smaller than its right"),
        ({"masks": [{**CLOCK, "bottom": 1.2}]}, "shares of the frame, at most 1"),
        ({"masks": [{**CLOCK, "fill": "red"}]}, "'blank' or 'blur'"),
        ({"fps": 5, "stride": 2}, "at most one of fps, stride and num_frames"),
    ],
)
def test_what_makes_no_sense_is_refused(options, told):
    with pytest.raises(ValidationError, match=told):
        StoreOptions.model_validate(options)


def test_pixels_may_pass_one():
    assert Mask(left=10, top=0, right=90, bottom=20, unit="pixels").right == 90


def test_what_later_versions_added_is_no_part_of_the_identity_at_its_default():
    assert StoreOptions(short_side=64).identity() == {
        "short_side": 64,
        "fps": None,
        "stride": None,
        "num_frames": None,
    }


def test_every_option_is_part_of_the_identity():
    identities = [
        StoreOptions.model_validate(options).identity()
        for options in (
            {},
            {"short_side": 64},
            {"fps": 5},
            {"stride": 5},
            {"num_frames": 5},
            {"greyscale": True},
            {"lighting": "mean"},
            {"lighting": "mean_std"},
            {"masks": [CLOCK]},
            {"masks": [{**CLOCK, "fill": "blur"}]},
            {"masks": [CLOCK, {**CLOCK, "top": 0.8}]},
            {"format": "jpeg"},
            {"format": "jpeg", "quality": 80},
        )
    ]
    assert len({str(sorted(identity.items(), key=str)) for identity in identities}) == 13


def test_the_default_quality_may_be_written_out():
    written = StoreOptions(format="jpeg", quality=90)
    assert written.identity() == StoreOptions(format="jpeg").identity()

"""Data sets that vidclass makes itself."""

from dataclasses import replace

from vidclass.data.manifest import Dataset
from vidclass.data.readers.folder import read_folder
from vidclass.data.readers.registry import ReadRequest, register_reader

__all__: list[str] = []


@register_reader("moving_shapes")
def _read_moving_shapes(request: ReadRequest) -> Dataset:
    from vidclass.data.synthetic import make_moving_shapes

    made = make_moving_shapes(
        request.home, preset=request.preset, seed=request.seed, progress=request.progress
    )
    return read_folder(replace(request, path=made, group_pattern=None))

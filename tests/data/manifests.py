"""Manifests of made-up videos, for tests that need no file."""

import pandas as pd

from vidclass.data.manifest import new_manifest


def manifest_of(counts: dict[str, list[int]], split: str | None = None) -> pd.DataFrame:
    """``{"walk": [3, 2]}``: class walk with a group of 3 and a group of 2 videos, class-pure."""
    rows = [
        {"video_id": f"{label}/{g}-{n}", "path": f"{label}/{g}-{n}", "label": label}
        | {"group": f"{label}{g}"}
        for label, sizes in counts.items()
        for g, size in enumerate(sizes)
        for n in range(size)
    ]
    manifest = new_manifest(pd.DataFrame(rows).assign(split=split))
    return manifest.assign(content_hash=manifest["video_id"])

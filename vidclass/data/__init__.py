"""From video files to batches: manifest, splits, decoding, frame store, sampling, transforms.

Only :mod:`vidclass.data.pipeline` imports Ray; all else here is plain Python, numpy and torch.
"""

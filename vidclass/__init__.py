"""vidclass: sweeps of video classification architectures, from raw videos to a verdict."""

__all__ = ["__version__"]

__version__ = "0.1.0"

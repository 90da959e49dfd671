"""Probing and decoding of video files."""

DECODER_VERSION = "1"

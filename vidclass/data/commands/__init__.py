"""The verbs of ``vidclass data``, one file each.

A verb's module has ``command``, a function whose parameters are Typer's arguments and options, and
``EXAMPLE``, a call of it for its help. Heavy imports are inside the function. The table of verbs is
in :mod:`vidclass.data.__main__`.
"""

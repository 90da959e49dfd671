"""``python -m vidclass.sweep STUDY``: run a study, and ask about studies."""

from vidclass.cli import run_app
from vidclass.sweep.verbs import app

__all__ = ["app"]

if __name__ == "__main__":
    run_app(app, prog_name="python -m vidclass.sweep")

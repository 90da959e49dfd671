"""docs/cluster.md to the letter: the tests of a cluster run the commands that stand there."""

import re
from pathlib import Path

__all__ = ["Page"]


class Page:
    """The commands of one section of the page.

    Args:
        repository: where docs/ is.
        section: its heading; the first block of commands below it is meant.

    Attributes:
        left: those that nobody has asked for yet.
    """

    def __init__(self, repository: Path, section: str) -> None:
        text = (repository / "docs" / "cluster.md").read_text(encoding="utf-8")
        found = re.search(rf"^## {re.escape(section)}\n.*?^```\n(.*?)^```", text, re.M | re.S)
        assert found, section
        self._commands = found[1].splitlines()
        self.left = list(self._commands)

    def command(self, start: str) -> str:
        """Return the one command that begins with ``start``, after the exports above it."""
        (wanted,) = [line for line in self._commands if line.startswith(start)]
        above = self._commands[: self._commands.index(wanted)]
        lines = [*(line for line in above if line.startswith("export ")), wanted]
        self.left = [line for line in self.left if line not in lines]
        return "; ".join(["cd /srv/project", *lines])

"""``--set NAME=VALUE``, as every command reads it."""

from typing import Any

import yaml

from vidclass.errors import UserError

__all__ = ["read_assignment"]


def read_assignment(item: str, *, form: str, example: str) -> tuple[str, Any]:
    """Return the name and the value of one ``--set``, the value read as in a study file.

    Args:
        item: what the user wrote.
        form: what is expected, for the message: ``a.b=c``.
        example: of it.

    Raises:
        UserError: when it is not of that form, or the value is not YAML.
    """
    name, equals, value = item.partition("=")
    if not equals or not name:
        raise UserError(f"--set takes {form}", item, f"for example --set {example}")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        first = str(error).splitlines()[0]
        raise UserError(
            "the value of --set is YAML", f"{item} ({first})", "quote it, or mend it"
        ) from None

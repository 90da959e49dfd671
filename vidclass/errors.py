"""User mistakes, told in three parts: the rule, the value received, what to write instead."""

from collections.abc import Iterable, Sequence

__all__ = ["UserError", "UserErrors", "raise_collected"]


class UserError(ValueError):
    """A mistake that the user can mend.

    Args:
        rule: the rule that was broken, as a sentence without a full stop.
        received: the value that broke it, as the user wrote it.
        remedy: what to write or run instead.
    """

    def __init__(self, rule: str, received: object, remedy: str) -> None:
        self.rule = rule
        self.received = received
        self.remedy = remedy
        super().__init__(f"{rule}; received: {received}; instead: {remedy}")

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, object, str]]:
        """Keep the three parts when Ray carries the error from a worker to the driver."""
        return (type(self), (self.rule, self.received, self.remedy))


class UserErrors(ValueError):
    """Several mistakes of one input, told together so that one edit can mend them all."""

    def __init__(self, errors: Iterable[UserError]) -> None:
        self.errors: Sequence[UserError] = tuple(errors)
        count = len(self.errors)
        head = f"{count} mistakes:" if count > 1 else "1 mistake:"
        super().__init__("\n".join([head, *(f"  - {error}" for error in self.errors)]))

    def __reduce__(self) -> tuple[type["UserErrors"], tuple[tuple[UserError, ...]]]:
        """Keep the single errors when Ray carries them from a worker to the driver."""
        return (type(self), (tuple(self.errors),))


def raise_collected(errors: Sequence[UserError]) -> None:
    """Raise all ``errors`` at once, or return when there are none.

    Raises:
        UserErrors: when ``errors`` is not empty.
    """
    if errors:
        raise UserErrors(errors)

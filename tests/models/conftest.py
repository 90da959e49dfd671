import pytest

from vidclass.models import registry


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the registry, so that models of a test vanish with it."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))

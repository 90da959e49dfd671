"""How much a study spends on certainty, by name."""

from pydantic import BaseModel, ConfigDict

__all__ = ["PROFILES", "Profile"]


class Profile(BaseModel):
    """How much a study spends on certainty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int
    """Trials an arm and fold."""
    rerun_top: int
    """Best trials run again."""
    rerun_seeds: int
    """Seeds of those, the search run counted."""
    final_seeds: int
    """Fresh seeds of a final."""
    time_seeds: int
    """Seeds of the value of time."""


PROFILES: dict[str, Profile] = {
    "laptop": Profile(trials=6, rerun_top=2, rerun_seeds=2, final_seeds=2, time_seeds=2),
    "full": Profile(trials=40, rerun_top=5, rerun_seeds=3, final_seeds=5, time_seeds=5),
}

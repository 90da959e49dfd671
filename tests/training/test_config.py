import pytest
from pydantic import ValidationError

from vidclass.training.config import TrainConfig

# (fields, the field or words that the message must name)
REFUSED = [
    ({"epsilon": 0.0}, "epsilon"),
    ({"epsilon": -1e-8}, "epsilon"),
    ({"epsilon": 0.1}, "epsilon"),
    ({"lr": 0.0}, "lr"),
    ({"lr": float("nan")}, "lr"),
    ({"batch_size": 1}, "batch_size"),
    ({"batch_size": 10, "accumulate": 3}, "accumulate must divide batch_size"),
    ({"batch_size": 4, "accumulate": 4}, "two clips"),
    ({"optimizer": "lion"}, "optimizer"),
    ({"schedule": "step"}, "schedule"),
    ({"warmup_share": 1.0}, "warmup_share"),
    ({"ema_decay": 1.0}, "ema_decay"),
    ({"learning_rate": 1e-3}, "learning_rate"),
    ({"epochs": 0}, "epochs"),
    ({"stop_at_train_accuracy": 1.1}, "stop_at_train_accuracy"),
]


@pytest.mark.parametrize(("fields", "named"), REFUSED)
def test_refuses_what_cannot_work(fields: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        TrainConfig.model_validate(fields)


def test_tells_all_mistakes_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate({"epsilon": 1.0, "lr": -1.0, "rounds": 3})
    assert {error["loc"][0] for error in caught.value.errors()} == {"epsilon", "lr", "rounds"}


def test_every_field_says_what_it_means() -> None:
    unexplained = [
        name for name, field in TrainConfig.model_fields.items() if not field.description
    ]
    assert unexplained == []


def test_survives_a_round_trip_through_json() -> None:
    config = TrainConfig(lr=1e-3, accumulate=2, stop_at_train_accuracy=0.99)
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


def test_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().lr = 1.0  # type: ignore[misc]

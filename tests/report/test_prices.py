"""Node-hours by type, and what they cost by a table that the user edits."""

from pathlib import Path

import pytest

from vidclass.errors import UserError
from vidclass.report.prices import Prices, cost_line, estimate_line, node_hours, read_prices
from vidclass.sweep.state import Attempt, State, Trial

HOUR_S = 3600.0
TABLE = """
currency: EUR
machines:
  gpu_spot: {per_hour: 0.5, gmacs_per_s: 100}
  gpu_ondemand: {per_hour: 2}
"""


def a_state(*attempts: tuple[str, str, float, float]) -> State:
    """A study with one trial an attempt: machine, node, first and last hour."""
    state = State()
    for number, (machine, node, start, end) in enumerate(attempts):
        trial = Trial(f"t{number}", "search", "a", 0, 0, number, {}, {}, None, 1, "", 0.0)
        span = (start * HOUR_S, end * HOUR_S)
        trial.attempts.append(Attempt(1, None, *span, "completed", node, machine))
        state.trials[trial.trial] = trial
    return state


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    path = tmp_path / "prices.yaml"
    path.write_text(TABLE)
    found = read_prices(path)
    assert found is not None
    return found


def test_trials_side_by_side_on_one_node_count_once() -> None:
    state = a_state(
        ("gpu_spot", "i1", 0, 2),
        ("gpu_spot", "i1", 1, 3),  # beside the first
        ("gpu_spot", "i1", 5, 6),  # the node idles for two hours
        ("gpu_spot", "i2", 0, 1),
        ("", "w1", 0, 0.5),
    )
    assert node_hours(state) == {"gpu_spot": 3 + 1 + 1, "w1": 0.5}


def test_the_report_tells_hours_and_price(prices: Prices) -> None:
    state = a_state(("gpu_spot", "i1", 0, 3), ("gpu_ondemand", "i2", 0, 1.5))
    told = cost_line(state, prices)
    assert told == (
        "gpu_ondemand 1.50 h, gpu_spot 3.00 h; about 4.50 EUR by prices.yaml"
    )  # 1.5 x 2 + 3 x 0.5


def test_what_the_table_does_not_price_is_named_and_not_guessed(prices: Prices) -> None:
    told = cost_line(a_state(("decode_spot", "i1", 0, 1)), prices)
    assert "has no price of decode_spot" in told and "EUR" not in told


def test_a_laptops_name_is_nobodys_business_without_a_table() -> None:
    assert cost_line(a_state(("", "annas-laptop", 0, 1)), None) == ""
    assert "gpu_spot 1.00 h (no price table" in cost_line(a_state(("gpu_spot", "i", 0, 1)), None)
    assert cost_line(State(), None) == ""


def test_a_plan_is_priced_where_a_machines_speed_is_known(prices: Prices) -> None:
    told = estimate_line(720_000, prices)
    assert told == "2.00 h of gpu_spot, 1.00 EUR, if no trial stops early"
    assert "no price table" in estimate_line(1, None)
    nothing = Prices("EUR", {"a": 1.0}, {}, "prices.yaml")
    assert "no gmacs_per_s" in estimate_line(1, nothing)


@pytest.mark.parametrize(
    "content",
    [
        "[1]",
        "machines: {}",
        "currency: EUR\nmachines: {a: {per_hour: -1}}",
        "currency: EUR\nmachines: {a: {}}",
        "currency: EUR\nmachines: {a: {per_hour: much}}",
        "currency: [",
    ],
)
def test_a_wrong_table_is_told(content: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match="price table"):
        read_prices(path)


def test_the_home_folder_and_the_environment_name_the_table(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIDCLASS_PRICES", raising=False)
    assert read_prices() is None
    (home / "prices.yaml").write_text(TABLE)
    assert read_prices() is not None
    monkeypatch.setenv("VIDCLASS_PRICES", str(tmp_path / "none.yaml"))
    assert read_prices() is None


def test_the_example_is_a_table_of_the_template_s_machines(repository: Path) -> None:
    import yaml

    found = read_prices(repository / "cluster" / "prices.yaml")
    types = yaml.safe_load((repository / "cluster.yaml").read_text())["available_node_types"]
    assert found is not None and set(found.per_hour) == set(types) - {"head"}

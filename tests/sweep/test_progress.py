"""The figures of the screen."""

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from tests.sweep.simulator import Simulation, study
from vidclass.data.pipeline import Progress
from vidclass.sweep.progress import overview, planned_trials
from vidclass.sweep.screen import Screen, duration, state_table

USES_ORDER = {"single": False, "slow": True}


def test_planned_trials_are_what_a_study_runs(tmp_path: Path) -> None:
    for folds in (1, 3):
        simulation = Simulation(study(), tmp_path / str(folds), folds=folds)
        engine = simulation.open()
        simulation.run(engine)
        engine.close()
        run = sum(trial.kind != "floors" for trial in engine.state.trials.values())
        assert sum(planned_trials(simulation.spec, folds, USES_ORDER).values()) == run


def test_overview_counts_and_estimates(tmp_path: Path) -> None:
    simulation = Simulation(study(), tmp_path)
    engine = simulation.open()
    assert overview(engine.state, engine.spec, 2, USES_ORDER).seconds_left is None
    simulation.run(engine, max_messages=30)
    part = overview(engine.state, engine.spec, 2, USES_ORDER)
    assert 0 < part.done < part.planned
    engine.recover()  # what was live when the messages ended is lost
    simulation.run(engine)
    engine.close()
    whole = overview(engine.state, engine.spec, 2, USES_ORDER)
    assert whole.done == whole.planned
    assert whole.seconds_left == 0


@pytest.mark.parametrize(("folds", "broken"), [(1, "slow"), (3, "slow"), (1, "both"), (3, "both")])
def test_time_left_counts_down_where_an_arm_has_no_winner(
    tmp_path: Path, folds: int, broken: str
) -> None:
    arms = ("single", "slow") if broken == "both" else (broken,)
    spec = study(budget__retries=0, budget__failures=1000)
    simulation = Simulation(spec, tmp_path, folds=folds, broken_arms=arms)
    engine = simulation.open()
    simulation.run(engine)
    engine.close()
    whole = overview(engine.state, engine.spec, 2, USES_ORDER)
    assert whole.done == whole.planned
    assert whole.seconds_left == 0


def test_durations_are_said_as_people_say_them() -> None:
    said = [duration(s) for s in (None, 41, 432, 7500)]
    assert said == ["not known yet", "41 s", "7 min 12 s", "2 h 5 min"]


def test_the_screen_is_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    text = io.StringIO()
    screen = Screen(Console(file=text, force_terminal=False, width=200))
    simulation = Simulation(study(), tmp_path)
    engine = simulation.open()
    with screen.showing(engine):
        screen.data_progress(Progress("decode", 5, 20, 2.5, 6.0))
        simulation.run(engine)
    engine.close()
    assert "decode: 5 of 20 videos, 2 videos/s, 6 s left" in text.getvalue()
    assert "20 of 20 trainings done" in text.getvalue()


def test_the_table_names_every_arm(tmp_path: Path) -> None:
    text = io.StringIO()
    simulation = Simulation(study(), tmp_path)
    engine = simulation.open()
    simulation.run(engine)
    engine.close()
    table = state_table("simulated", engine.state, engine.spec, 2)
    Console(file=text, force_terminal=True, width=120).print(table)
    assert "single" in text.getvalue() and "slow" in text.getvalue()


def test_the_table_of_a_terminal_follows_a_study_that_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The screen's thread counts while the driver's changes what is counted."""
    text = io.StringIO()
    screen = Screen(Console(file=text, force_terminal=True, width=120))
    simulation = Simulation(study(), tmp_path)
    engine = simulation.open()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            screen._view()

    with screen.showing(engine):
        looking = threading.Thread(target=look)
        looking.start()
        simulation.run(engine)
        stop.set()
        looking.join()
    engine.close()
    assert "20 of 20 trainings done" in text.getvalue()
    assert capsys.readouterr().err == "", "a thread's error would be told there"

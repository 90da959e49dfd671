"""A whole real study, from mp4 files to a verdict: what it leaves, says, and does again."""

import json
import shlex
import subprocess
import sys
from importlib.resources import files

import jsonschema
import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.sweep.conftest import SmokeRun
from vidclass.errors import UserError
from vidclass.study import Study, load_study
from vidclass.sweep.ledger import read_events
from vidclass.sweep.policy import FEWER_VIDEOS

pytestmark = pytest.mark.ray


@pytest.fixture
def finished(smoke_run: SmokeRun, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("VIDCLASS_HOME", str(smoke_run.home))
    return load_study("smoke")


def test_closing_lines_lead_on(smoke_run: SmokeRun) -> None:
    said = smoke_run.output
    assert "winner" in said.lower()
    assert f"report   {smoke_run.home}/studies/smoke/report/report.html" in said
    assert "mlflow ui --backend-store-uri sqlite:///" in said
    assert "best_model().predict(" in said


def test_every_stage_was_passed_once(finished: Study) -> None:
    trials = finished.trials()
    counts = trials.groupby(["arm", "kind"]).size().to_dict()
    assert counts[("single", "search")] == counts[("slow", "search")] == 2
    assert counts[("single", "final")] == counts[("slow", "final")] == 1
    assert counts[("slow", "control")] == 1
    assert ("single", "control") not in counts
    assert set(trials["status"]) == {"completed"}
    assert len(finished.state.floors) == 5


def test_search_trials_never_see_test(finished: Study) -> None:
    scored = {
        e["trial"]
        for e in read_events(finished.folder / "ledger.jsonl")
        if e["event"] == "final_scored"
    }
    kinds = finished.trials().set_index("trial")["kind"]
    assert {kinds[trial] for trial in scored} == {"final", "control", "fewer_videos"}
    searched = kinds[kinds == "search"].index
    assert not any(
        (finished.folder / "artifacts" / t / "test_predictions.parquet").exists() for t in searched
    )


def test_scores_follow_from_the_published_predictions(finished: Study) -> None:
    for final in finished.state.finals.values():
        table = pd.read_parquet(finished.folder / final.predictions)
        columns = [c for c in table if c.startswith("p") and c[1:].isdigit()]
        hits = table[columns].to_numpy().argmax(axis=1) == table["label_id"]
        assert len(table) == 160
        assert hits.mean() == pytest.approx(final.metrics["accuracy"])


def test_the_winners_model_names_a_class_of_a_file(finished: Study, smoke_run: SmokeRun) -> None:
    videos = sorted(smoke_run.home.glob("datasets/moving_shapes/*/videos/*.mp4"))[:3]
    predicted = finished.best_model().predict(*videos)
    classes = finished.state.data["classes"]
    assert set(predicted["prediction"]) <= set(classes)
    np.testing.assert_allclose(predicted[classes].sum(axis=1), 1.0, rtol=1e-5)


def test_a_model_used_on_its_test_videos_gives_the_published_predictions(
    finished: Study, smoke_run: SmokeRun
) -> None:
    best = finished.best_model()
    final = finished.state.finals[best.trial]
    published = pd.read_parquet(finished.folder / final.predictions).head(5)
    [root] = smoke_run.home.glob("datasets/moving_shapes/*/")
    again = best.predict(*(root / video_id for video_id in published["video_id"]))
    expected = published[[f"p{k}" for k in range(len(best.classes))]].to_numpy()
    np.testing.assert_allclose(again[list(best.classes)].to_numpy(), expected, atol=2e-5)


def test_an_arm_that_the_study_has_not_is_told_with_those_it_has(finished: Study) -> None:
    with pytest.raises(UserError) as caught:
        finished.best_model("slwo")
    assert (caught.value.received, caught.value.remedy) == ("slwo", "one of: single, slow")


def test_the_printed_snippet_predicts_a_video(smoke_run: SmokeRun) -> None:
    [line] = [line for line in smoke_run.output.splitlines() if line.startswith("use it")]
    video = next(smoke_run.home.glob("datasets/moving_shapes/*/videos/*.mp4"))
    words = shlex.split(line.removeprefix("use it").replace("VIDEO.mp4", str(video)))
    assert words[0] == "python"
    done = subprocess.run(
        [sys.executable, *words[1:]], env=smoke_run.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "prediction" in done.stdout


def test_results_of_every_training_hold_to_the_schema(finished: Study) -> None:
    schema = files("vidclass.tracking").joinpath("results_schema.json").read_text()
    validator = jsonschema.Draft202012Validator(json.loads(schema))
    trained = [t for t in finished.state.trials.values() if t.kind != "floors"]
    for trial in trained:
        path = finished.folder / "artifacts" / trial.trial / "results.json"
        results = json.loads(path.read_text())
        validator.validate(results)
        scored = trial.trial in finished.state.finals
        assert (results["fit_test_acc"] is not None) == scored, trial.kind
    assert {trial.kind for trial in trained} >= {"search", "final", "control", FEWER_VIDEOS}


def test_mlflow_shows_one_parent_with_its_trials(finished: Study, smoke_run: SmokeRun) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{smoke_run.home / 'mlflow.db'}")
    [experiment] = [e for e in client.search_experiments() if "smoke" in e.name]
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    told = {run.data.tags.get("vidclass.trial") for run in runs}
    assert set(finished.state.trials) <= told | {
        t.trial for t in finished.state.select(kind="floors")
    }


def test_a_second_run_changes_nothing(smoke_run: SmokeRun) -> None:
    ledger = smoke_run.home / "studies" / "smoke" / "ledger.jsonl"
    before = ledger.read_bytes()
    again = smoke_run.again("smoke")
    assert again.returncode == 0
    assert ledger.read_bytes() == before
    assert (
        json.loads((smoke_run.folder / "reports/smoke/verdict.json").read_text())["verdict"]
        in again.stdout
    )


def test_status_list_and_logs_answer(smoke_run: SmokeRun) -> None:
    assert "complete" in smoke_run.again("status", "smoke").stdout
    assert "smoke" in smoke_run.again("list").stdout
    assert smoke_run.again("logs", "smoke", "t0002").returncode == 0
    missing = smoke_run.again("logs", "smoke", "t9999")
    assert (missing.returncode, "t9999" in missing.stderr) == (2, True)
    assert smoke_run.again("stop", "smoke").returncode == 2


def test_another_file_under_the_same_name_is_refused(smoke_run: SmokeRun) -> None:
    file = smoke_run.folder / "smoke.yaml"
    text = (smoke_run.home / "studies/smoke/spec.yaml").read_text()
    file.write_text(text.replace("epochs: 2", "epochs: 3"))
    refused = smoke_run.again(str(file))
    assert refused.returncode == 2
    assert "budget.epochs: was 2, is 3" in refused.stderr

"""Models of every kind come back from a real store with the answers of the training.

Legend: B clips, N samples, T frames, S steps, C channels, H height, W width, D features, K classes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pytorch
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from torch import nn

from tests.sweep.noise_study import CLASSES, noise_engine, run_all
from tests.sweep.test_framewise_study import finals_of
from tests.sweep.test_poses import carry_out, walks_engine
from tests.tracking.make_ledger import NAME, StudySteps
from vidclass.data.feature_dataset import FeatureTransform
from vidclass.data.frame_store import FrameStore
from vidclass.data.stretches import StretchDataset
from vidclass.home import studies_folder
from vidclass.models import list_models, model_entry, validate_options
from vidclass.sweep.engine import Engine, job_data
from vidclass.sweep.job_data import clip_dataset, seen_store, split_data, split_table, transform_of
from vidclass.sweep.ledger import Ledger
from vidclass.sweep.state import State, Trial, replay
from vidclass.tracking.models import load_trained
from vidclass.tracking.store import open_client, tracking_uri
from vidclass.tracking.writer import sync
from vidclass.training.evaluate import evaluate

CPU = torch.device("cpu")
STUDY = """
study: kinds
data: {input_size: 32, window: {span_s: 0.8, num_frames: 8}, views: 2}
train: {batch_size: 8, init: default}
budget: {trials: 1, epochs: 1}
search: {halving: null}
finals: {seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 0, fewer_videos: []}
arms:
  - name: kept_features
    model: lrcn
    fixed: &net {backbone: squeezenet1_1, weights: none, num_frames: 3}
  - name: probe
    model: attentive_probe
    fixed: {backbone: squeezenet1_1, weights: none, num_frames: 3, width: 16, num_heads: 2}
  - name: tuned
    model: backbone_pooling
    fixed: {<<: *net, freeze: last}
"""


class AsTrained(nn.Module):
    """An exported model under `evaluate`: it has one mode alone."""

    def __init__(self, exported: nn.Module) -> None:
        super().__init__()
        self.exported = [exported]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        answers: torch.Tensor = self.exported[0](inputs)
        return answers


class OnFlatFrames(AsTrained):
    """One that takes the frames of steps, given as long rows of features."""

    def forward(self, f_BSD: torch.Tensor) -> torch.Tensor:
        side = round((f_BSD.shape[2] / 3) ** 0.5)
        return super().forward(f_BSD.unflatten(2, (3, side, side)))


class FlatFrames:
    """A feature store whose features are the normalised frames themselves."""

    def __init__(self, store: FrameStore, transform: Any) -> None:
        self.store, self.transform = store, transform
        _, height, width, colours = store.frames(store.index["video_id"].iloc[0]).shape
        self.num_features = height * width * colours

    def features(self, video_id: str) -> npt.NDArray[np.float32]:
        x_1THWC = torch.tensor(np.asarray(self.store.frames(video_id)))[None]
        x_TCHW = self.transform(x_1THWC, train=False)[0]
        f_TD: npt.NDArray[np.float32] = x_TCHW.flatten(1).numpy()
        return f_TD


def exported(home: Path, state: State, study: str) -> dict[str, str]:
    """Return the address of the model of each arm's final in the store."""
    client = open_client(home)
    found = client.get_experiment_by_name(f"vidclass/{study}")
    models = client.search_logged_models([found.experiment_id])
    return {model.tags["arm"]: f"models:/{model.model_id}" for model in models}


def finish(engine: Engine) -> None:
    """End the study and bring it into the store."""
    engine.append("study_ended", reason="complete")
    engine.close()
    assert sync(engine.folder, engine.home, engine.name) == {}


def finals(state: State) -> dict[str, Trial]:
    return {t.arm: t for t in state.trials.values() if t.kind == "final"}


def job_of(engine: Engine, trial: Trial) -> dict[str, Any]:
    own = {"study": engine.name, "seed": trial.seed, "fold": 0, "variant": "kept"}
    return {**job_data(engine.state, trial.config), "config": trial.config, **own}


def scored(engine: Engine, trial: Trial) -> pd.DataFrame:
    return pd.read_parquet(engine.folder / engine.state.finals[trial.trial].predictions)


def check_answers(prob_NK: npt.NDArray[np.float32], stored: pd.DataFrame) -> None:
    np.testing.assert_allclose(prob_NK, stored[["p0", "p1"]].to_numpy(), atol=1e-5)
    assert np.ptp(prob_NK[:, 0]) > 0


@pytest.fixture
def real_store(stored_home: Path, use_store: Callable[[str], None]) -> Path:
    use_store(tracking_uri(stored_home))
    return stored_home


@pytest.mark.slow
def test_models_on_a_backbone_say_of_clips_what_was_scored(
    real_store: Path, tmp_path: Path
) -> None:
    file = tmp_path / "kinds.yaml"
    file.write_text(STUDY)
    engine = noise_engine(file, real_store)
    run_all(engine)
    finish(engine)
    addresses, trials = exported(real_store, engine.state, engine.name), finals(engine.state)
    assert addresses.keys() == trials.keys() == {"kept_features", "probe", "tuned"}
    for arm, trial in trials.items():
        job = job_of(engine, trial)
        table, store = split_table(job, real_store, "test"), seen_store(job, real_store)
        again = evaluate(
            AsTrained(mlflow.pytorch.load_model(addresses[arm])),
            clip_dataset(job, store, table, order="kept"),
            transform=transform_of(job),
            batch_size=5,
            device=CPU,
        )
        stored = scored(engine, trial)
        assert stored["video_id"].tolist() == list(again.video_ids)
        check_answers(again.prob_NK, stored)


@pytest.mark.slow
def test_a_model_over_recordings_says_of_frames_what_was_scored(
    real_store: Path, tmp_path: Path
) -> None:
    engine, _ = finals_of(real_store, tmp_path / "recordings.yaml", epochs=1)
    finish(engine)
    address = exported(real_store, engine.state, engine.name)["recording"]
    trial = finals(engine.state)["recording"]
    job = job_of(engine, trial)
    data = split_data(job, real_store, "test")
    assert isinstance(data, StretchDataset)
    data.features = FlatFrames(seen_store(job, real_store), transform_of(job))  # type: ignore[assignment]
    again = evaluate(
        OnFlatFrames(mlflow.pytorch.load_model(address)),
        data,
        transform=FeatureTransform(),
        batch_size=3,
        device=CPU,
    )
    stored = scored(engine, trial)
    assert stored["sample_id"].tolist() == list(again.sample_ids)
    check_answers(again.prob_NK, stored)
    generic = mlflow.pyfunc.load_model(address).metadata
    assert generic.metadata["framewise"] and generic.metadata["windows"]["label_from"] == "centre"
    (inputs,), (outputs,) = generic.signature.inputs.inputs, generic.signature.outputs.inputs
    assert inputs.shape == (-1, 24, 3, 32, 32) and outputs.shape == (-1, 24, len(CLASSES))


def test_a_model_of_poses_takes_their_numbers(real_store: Path, tmp_path: Path) -> None:
    engine = walks_engine(real_store, tmp_path)
    carry_out(engine)
    finish(engine)
    address = exported(real_store, engine.state, engine.name)["poses"]
    trial = finals(engine.state)["poses"]
    job = job_of(engine, trial)
    again = evaluate(
        AsTrained(mlflow.pytorch.load_model(address)),
        split_data(job, real_store, "test"),
        transform=FeatureTransform(),
        batch_size=3,
        device=CPU,
    )
    check_answers(again.prob_NK, scored(engine, trial))
    metadata = mlflow.pyfunc.load_model(address).metadata.metadata
    assert metadata["takes"] == "poses" and metadata["poses"]["missing"] == "interpolate"


class OneFinalEach(StudySteps):
    """A study whose arms have a final each and nothing else."""

    def __iter__(self):
        yield from self.begin()
        for arm in self.arms:
            yield from self.trial(self.name(), "final", arm, 1, 0.004, variant="kept")
        yield "study_ended", {"reason": "complete"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_registered_model_comes_back_with_its_logits(real_store: Path) -> None:
    folder = studies_folder(real_store) / NAME
    folder.mkdir(parents=True)
    ledger = Ledger(folder / "ledger.jsonl")
    for event, fields in OneFinalEach(folder, {name: name for name in list_models()}):
        ledger.append(event, **fields)
    ledger.close()
    assert sync(folder, real_store, NAME) == {}
    state = replay(folder / "ledger.jsonl")
    addresses, trials = exported(real_store, state, NAME), finals(state)
    assert addresses.keys() == trials.keys() == set(list_models())
    for name, address in addresses.items():
        loaded, generic = mlflow.pytorch.load_model(address), mlflow.pyfunc.load_model(address)
        shape = generic.metadata.signature.inputs.inputs[0].shape[1:]
        original = load_trained(trials[name], 3, folder)
        for batch in (1, 3):
            inputs = torch.randn(batch, *shape)
            with torch.no_grad():
                expected = original(inputs)
                torch.testing.assert_close(loaded(inputs), expected, atol=1e-5, rtol=1e-4)
            np.testing.assert_allclose(
                generic.predict(inputs.numpy()), expected.numpy(), atol=1e-5, rtol=1e-4
            )
        options = validate_options(name, trials[name].config["options"])
        framewise = model_entry(name).framewise
        assert expected.shape[1:] == ((options.num_steps, 3) if framewise else (3,))

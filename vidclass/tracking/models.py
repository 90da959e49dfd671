"""The winners' models in MLflow: each arm's best final, and the champion under an alias.

A model is rebuilt from its checkpoint and saved in PyTorch's exported form (``pt2``), which loads
without vidclass and without unpickling. It takes normalised clips ``x_BTCHW`` float32, any B, and
gives ``logits_BK``; one that was trained on kept features has the net that makes them in front. A
sequence model over recordings takes the frames of its steps, ``x_BSCHW``, and gives
``logits_BSK``; one of poses takes their numbers, ``f_BTD``. Its metadata says how a video becomes
such input.

Legend: B clips, T frames, S steps, C channels, H height, W width, D features, K classes.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import vidclass
from vidclass.errors import UserError, UserErrors
from vidclass.models import PoseSource, model_entry, validate_options
from vidclass.models.registry import NUM_COLOURS
from vidclass.models.trained import as_trained, trained_model
from vidclass.sweep.policy import DEPLOY_FOLD
from vidclass.sweep.state import State, Trial
from vidclass.tracking.runs import Fold
from vidclass.training.checkpoints import CheckpointFolder

__all__ = ["ALIAS", "load_trained", "log_winners", "registered_name", "winners"]

ALIAS = "champion"
# An example of one clip would freeze the batch size at one.
_EXAMPLE_CLIPS = 2


def registered_name(study: str) -> str:
    """Return the name of a study's champion in the model registry."""
    return f"vidclass-{study}"


def winners(state: State) -> dict[str, Trial]:
    """Return the final of each arm whose validation score is best, and the model to deploy.

    The latter is under the key ``champion``: the one trained on all data where there are outer
    folds, otherwise the best final of the champion's arm. Test scores choose nothing.
    """
    best: dict[str, Trial] = {}
    for trial in state.trials.values():
        if trial.kind != "final" or not trial.ended_well or trial.best_value is None:
            continue
        if trial.arm not in best or trial.best_value > (best[trial.arm].best_value or 0.0):
            best[trial.arm] = trial
    deployed = [t for t in state.select(kind="deploy", fold=DEPLOY_FOLD) if t.ended_well]
    if deployed:
        best[ALIAS] = deployed[-1]
    elif state.champion is not None and state.champion["arm"] in best:
        best[ALIAS] = best[state.champion["arm"]]
    return best


def load_trained(trial: Trial, num_classes: int, folder: Path) -> nn.Module:
    """Return the trial's model with the weights of its best epoch, in evaluation mode.

    It takes clips, or poses where it was trained on those.

    Raises:
        UserError: when its model is not registered here, or its checkpoint is gone or damaged.
    """
    config = trial.config
    checkpoints = CheckpointFolder(folder / "checkpoints" / trial.trial)
    weights = checkpoints.load_weights(trial.best_checkpoint or "none")
    made = trained_model if _poses_of(trial) is None else as_trained
    return made(config["model"], num_classes, config["options"], weights)


def _poses_of(trial: Trial) -> PoseSource | None:
    """Return how the numbers are made that the trial's model takes; None where it takes clips."""
    entry = model_entry(trial.config["model"])
    source = entry.features(validate_options(trial.config["model"], trial.config["options"]))
    return source if isinstance(source, PoseSource) else None


def log_winners(
    client: Any, experiment: str, folder: Path, fold: Fold, runs: dict[str, str]
) -> dict[str, str]:
    """Log the models of :func:`winners` that MLflow does not have, and set the champion's alias.

    Returns:
        What could not be logged, and why.
    """
    problems: dict[str, str] = {}
    logged: dict[str, str] = {}
    for role, trial in winners(fold.state).items():
        try:
            if trial.trial not in logged:
                run = runs[trial.trial]
                logged[trial.trial] = _logged_model(client, experiment, folder, fold, trial, run)
        except (UserError, UserErrors, RuntimeError) as error:
            # RuntimeError is what torch.export raises for a model that it cannot express.
            problems[f"model of {trial.trial}"] = str(error).splitlines()[0]
            continue
        if role == ALIAS:
            model_id, run = logged[trial.trial], runs[trial.trial]
            _set_alias(client, registered_name(fold.name), model_id, run)
    return problems


def _logged_model(
    client: Any, experiment: str, folder: Path, fold: Fold, trial: Trial, run: str
) -> str:
    """Return the id of the trial's model in MLflow, made when it is not whole there."""
    for known in client.search_logged_models([experiment], f"source_run_id = '{run}'"):
        if known.status.value == "READY" and known.tags.get("checkpoint") == trial.best_checkpoint:
            return str(known.model_id)
        client.delete_logged_model(known.model_id)
    model = load_trained(trial, len(fold.state.data["classes"]), folder)
    made = client.create_logged_model(
        experiment,
        f"{fold.name}-{trial.arm}",
        source_run_id=run,
        tags={"checkpoint": trial.best_checkpoint or "", "trial": trial.trial, "arm": trial.arm},
        params={name: str(value) for name, value in trial.params.items()},
        model_type="video classifier",
    )
    with tempfile.TemporaryDirectory(prefix="vidclass-model-") as aside:
        metadata = _metadata(fold, trial, folder)
        _save(model, Path(aside) / "model", fold, trial, run, made.model_id, metadata)
        client.log_model_artifacts(made.model_id, str(Path(aside) / "model"))
    _log_scores(client, fold.state, trial, run, made.model_id)
    client.finalize_logged_model(made.model_id, "READY")
    return str(made.model_id)


class _Exported(nn.Module):
    """A model under one name: torch.export can't have a part called `code` at the top."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(inputs)
        return logits


def _input_shape(trial: Trial) -> tuple[int, ...]:
    """Return the shape of one input of the saved model: ``[T, C, H, W]``, or ``[T, D]``."""
    options = validate_options(trial.config["model"], trial.config["options"])
    entry = model_entry(trial.config["model"])
    if _poses_of(trial) is not None:
        return entry.input_shape(options)
    return (entry.num_frames(options), NUM_COLOURS, options.input_size, options.input_size)


def _save(
    model: nn.Module,
    path: Path,
    fold: Fold,
    trial: Trial,
    run: str,
    model_id: str,
    metadata: dict[str, Any],
) -> None:
    import mlflow.pyfunc
    import mlflow.pytorch
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    shape, num_classes = _input_shape(trial), len(fold.state.data["classes"])
    answers = shape[:1] if metadata["framewise"] else ()
    float32 = np.dtype(np.float32)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(float32, (-1, *shape))]),
        outputs=Schema([TensorSpec(float32, (-1, *answers, num_classes))]),
    )
    saved = Model(run_id=run, model_id=model_id)
    mlflow.pytorch.save_model(
        _Exported(model).eval(),
        str(path),
        mlflow_model=saved,
        signature=signature,
        # A tensor: an array is also written as text, gigabytes of it for a long recording.
        input_example=torch.zeros(_EXAMPLE_CLIPS, *shape),
        # Named, since MLflow would otherwise start a process that finds them out.
        pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", f"numpy=={np.__version__}"],
        metadata=metadata,
        serialization_format="pt2",
    )
    # Without an example as text MLflow leaves out the form that knows of no framework.
    mlflow.pyfunc.add_to_model(
        saved,
        loader_module="mlflow.pytorch",
        data="data",
        conda_env="conda.yaml",
        python_env="python_env.yaml",
        model_config={"device": None},
    )
    saved.save(str(path / "MLmodel"))


def _metadata(fold: Fold, trial: Trial, folder: Path) -> dict[str, Any]:
    """Return how a video becomes the model's input, how its output becomes an answer, its origin.

    ``thresholds`` are those of the sigmoids of its logits; None where the largest logit wins.
    ``framewise`` says that it answers at every frame: those that label the windows of a recording.
    """
    data = fold.state.spec["data"] | trial.config.get("data", {})
    entry = model_entry(trial.config["model"])
    options = validate_options(trial.config["model"], trial.config["options"])
    positions = entry.frame_positions(options.window_frames, options)
    pixels, poses = entry.normalisation(options), _poses_of(trial)
    return {
        "takes": "frames" if poses is None else "poses",
        "poses": None if poses is None else poses.options.model_dump(mode="json"),
        "framewise": entry.framewise,
        "classes": fold.state.data["classes"],
        "task": data.get("task", "multiclass"),
        "thresholds": _thresholds(trial, folder),
        "windows": data.get("windows"),
        "store": data["store"],
        "window": data["window"],
        "frame_positions": list(positions.indices),
        "geometry": data["geometry"],
        "input": data.get("input", "rgb"),
        "input_size": data["input_size"],
        "views": data["views"],
        "mean": list(pixels.mean),
        "std": list(pixels.std),
        "study": fold.name,
        "trial": trial.trial,
        "arm": trial.arm,
        "fold": trial.fold,
        "checkpoint": trial.best_checkpoint,
        "vidclass_version": vidclass.__version__,
    }


def _thresholds(trial: Trial, folder: Path) -> list[float] | None:
    checkpoints = CheckpointFolder(folder / "checkpoints" / trial.trial)
    thresholds = checkpoints.load_thresholds(trial.best_checkpoint or "none")
    return None if thresholds is None else list(thresholds)


def _log_scores(client: Any, state: State, trial: Trial, run: str, model_id: str) -> None:
    """Attach the final's scores to the model, with the time at which the ledger has them."""
    final = state.finals.get(trial.trial)
    if final is None:
        return
    from mlflow.entities import Metric

    client.log_batch(
        run,
        metrics=[
            Metric(
                f"test_{name}",
                value,
                round(final.time * 1000),
                max(trial.epochs),
                model_id=model_id,
                run_id=run,
            )
            for name, value in final.metrics.items()
            if value is not None
        ],
    )


def _set_alias(client: Any, name: str, model_id: str, run: str) -> None:
    from mlflow.exceptions import MlflowException

    # Not models:/ID: a local registry would look that up in the process's default store.
    source = client.get_logged_model(model_id).artifact_location
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    versions = client.search_model_versions(f"name = '{name}'")
    known = [v for v in versions if v.source == source]
    version = (
        known[0] if known else client.create_model_version(name, source, run, model_id=model_id)
    )
    client.set_registered_model_alias(name, ALIAS, str(version.version))

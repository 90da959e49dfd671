"""A study over videos of noise, carried out by Tune with several workers a trial."""

from pathlib import Path

from tests.sweep.test_same_weights import CLASSES, STORE, make_store
from vidclass.data.manifest import read_manifest, write_manifest
from vidclass.home import store_folder
from vidclass.sweep import runner
from vidclass.sweep.division import divide
from vidclass.sweep.engine import Engine
from vidclass.sweep.identity import session_facts
from vidclass.sweep.load import LoadedStudy, parse_study

STUDY = """
study: {name}
workers: {workers}
data:
  source: moving_shapes
  preset: smoke
  window: {{span_s: 1.0, num_frames: 10}}
  input_size: 32
  stream: {stream}
train: {{batch_size: 16, precision: float32}}
budget: {{trials: {trials}, epochs: {epochs}, retries: 2}}
search: {{halving: {halving}}}
finals: {{seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 0, perturbations: false,
          fewer_videos: []}}
arms:
  - name: slow
    model: {model}
    fixed: {{{fixed}}}
    search: {{lr: {{low: 1.0e-3, high: 4.0e-3, log: true}}}}
"""


def study(
    home: Path,
    name: str,
    *,
    workers: int,
    plugins: tuple[str, ...] = (),
    model: str = "slow_fusion",
    fixed: str = "width: 0.125, norm: none",
    stream: str = "never",
    trials: int = 2,
    epochs: int = 3,
    halving: str = "null",
) -> Engine:
    """Return the engine of a study whose data lie ready."""
    fields = {"name": name, "workers": workers, "stream": stream, "trials": trials}
    fields |= {"epochs": epochs, "halving": halving, "model": model, "fixed": fixed}
    spec = parse_study(STUDY.format(**fields))
    loaded = LoadedStudy(spec, name, f"{name}.yaml", "", spec.data.source)
    engine = Engine(spec, name, home, loaded.videos, plugins)
    session_facts(engine, loaded, slots=2)
    store = store_folder(home) / STORE
    if store.exists():
        manifest = read_manifest(home / "noise.parquet")
    else:
        manifest = make_store(store)
        write_manifest(manifest, home / "noise.parquet")
    write_manifest(manifest, engine.folder / "manifest.parquet")
    divide(manifest, spec.data).to_parquet(engine.folder / "splits.parquet", index=False)
    facts = {"content_hash": "c" * 64, "split_hash": "s" * 64, "store_key": STORE}
    engine.append("data_ready", **facts, classes=CLASSES, folds=1)
    return engine


def carried_out(engine: Engine, slots: int = 2, cpus: float = 1.0) -> Engine:
    """Run the study to its end on the Ray that there is."""
    engine.slots = slots
    engine.streams = engine.spec.data.stream == "always"
    runner._fit(engine, slots, {"CPU": cpus})
    engine.close()
    return engine


def curves(engine: Engine, figure: str) -> dict[str, list[float]]:
    """Return a figure by epoch of each search trial."""
    return {
        trial.trial: [trial.epochs[epoch].metrics[figure] for epoch in sorted(trial.epochs)]
        for trial in engine.state.select(kind="search")
    }

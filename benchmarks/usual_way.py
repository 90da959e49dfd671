"""A trial written the usual way: a process of its own, decord inside a DataLoader.

`study.py` and `epoch.py` run it as the other side. It trains the same model with the same
optimizer, schedule, augmentation, batch size, epochs and evaluations on the same files; only how
frames reach the model and how a trial starts differ. Where the usual way has a slower and a faster
form, this is the faster one: decord seeks to the window and resizes by itself, clips travel as
uint8, the one worker lives on over all epochs, and PyTorch has one thread, so that two trials fit
two cores.

Run: python benchmarks/usual_way.py JOB.json, with {"table": CSV of path,label_id,split, "config",
"window", "input_size", "augment", "num_classes", "seed", "epochs", "score"}; the last line of its
output is JSON with the seconds of each part.
"""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

STARTED = time.time()

import _common  # noqa: E402, F401 - sets threads before torch is imported
import decord  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from vidclass.data.sampling import Window  # noqa: E402
from vidclass.data.transforms import Augment, BatchTransform  # noqa: E402
from vidclass.models import create_model, model_entry  # noqa: E402
from vidclass.training.config import TrainConfig  # noqa: E402
from vidclass.training.optimizers import initialise, make_optimizer  # noqa: E402
from vidclass.training.precision import autocast, to_device  # noqa: E402
from vidclass.training.schedules import Schedule  # noqa: E402


class VideoClips(Dataset):
    """One clip a video, decoded when it is asked for."""

    def __init__(self, rows: pd.DataFrame, job: dict[str, Any], *, train: bool) -> None:
        """Take the rows (path, label_id) of one split."""
        self.paths, self.labels = rows["path"].tolist(), rows["label_id"].tolist()
        self.size, self.train = job["input_size"], train
        self.window = Window(**job["window"])
        entry = model_entry(job["config"]["model"])
        options = entry.options.model_validate(job["config"]["options"])
        self.indices = list(entry.frame_positions(self.window.num_frames, options).indices)

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return a clip, uint8 ``[T, H, W, 3]``, and its class."""
        reader = decord.VideoReader(
            self.paths[index], width=self.size, height=self.size, num_threads=1
        )
        offsets = self.window.frame_offsets(np.array([reader.get_avg_fps()]))[0]
        slack = max(0, len(reader) - 1 - int(offsets[-1]))
        start = int(torch.randint(slack + 1, ())) if self.train else slack // 2
        numbers = np.minimum(offsets[self.indices] + start, len(reader) - 1)
        return torch.from_numpy(reader.get_batch(numbers.tolist()).asnumpy()), self.labels[index]


class UsualTrial:
    """One training in the usual way, with the seconds that each part took."""

    def __init__(self, job: dict[str, Any]) -> None:
        """Make loaders, model and optimizer."""
        torch.set_num_threads(1)
        torch.manual_seed(job["seed"])
        self.config = TrainConfig.model_validate(job["config"]["train"])
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        entry = model_entry(job["config"]["model"])
        pixels = entry.normalisation(entry.options.model_validate(job["config"]["options"]))
        self.transform = BatchTransform(
            pixels.mean, pixels.std, Augment.model_validate(job["augment"])
        )
        model = create_model(job["config"]["model"], job["num_classes"], **job["config"]["options"])
        initialise(model, self.config.init)
        to_device(model, self.device)
        self.model = model
        table = pd.read_csv(job["table"])
        self.loaders = {
            split: DataLoader(
                VideoClips(rows, job, train=split == "train"),
                batch_size=self.config.batch_size,
                shuffle=split == "train",
                num_workers=1,
                persistent_workers=split != "test",
            )
            for split, rows in table.groupby("split")
        }
        self.optimizer = make_optimizer(model, self.config)
        num_steps = self.config.epochs * len(self.loaders["train"])
        self.schedule = Schedule(self.optimizer, self.config, num_steps)
        self.seconds_data = 0.0

    def _batches(self, split: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of a split, adding up the seconds spent waiting for them."""
        before = time.perf_counter()
        for batch in self.loaders[split]:
            self.seconds_data += time.perf_counter() - before
            yield batch
            before = time.perf_counter()

    def train_epoch(self) -> dict[str, float]:
        """Train on every video once; return the seconds waiting for data and all others."""
        self.model.train()
        self.seconds_data, started = 0.0, time.perf_counter()
        for x_BTHWC, y_B in self._batches("train"):
            x_BTCHW = self.transform(x_BTHWC.to(self.device), train=True)
            self.schedule.before_step()
            self.optimizer.zero_grad()
            with autocast(self.config.precision, self.device):
                logits_BK = self.model(x_BTCHW)
            loss = torch.nn.functional.cross_entropy(logits_BK.float(), y_B.to(self.device))
            loss.backward()
            self.optimizer.step()
            loss.item()
        seconds = time.perf_counter() - started
        return {"data": self.seconds_data, "step": seconds - self.seconds_data}

    def evaluate(self, split: str) -> float:
        """Predict every video of a split; return the seconds, waiting for data included."""
        self.model.eval()
        started = time.perf_counter()
        right = 0
        with torch.no_grad():
            for x_BTHWC, y_B in self._batches(split):
                x_BTCHW = self.transform(x_BTHWC.to(self.device), train=False)
                with autocast(self.config.precision, self.device):
                    logits_BK = self.model(x_BTCHW)
                right += int((logits_BK.argmax(dim=1).cpu() == y_B).sum())
        self.accuracy = right / len(self.loaders[split].dataset)
        return time.perf_counter() - started


def main() -> None:
    """Run the job that the first argument names and print its seconds."""
    with open(sys.argv[1]) as file:
        job = json.load(file)
    trial = UsualTrial(job)
    ready = time.time()
    epochs = []
    for _ in range(job["epochs"]):
        trained = trial.train_epoch()
        epochs.append({**trained, "eval": trial.evaluate("valid")})
    result = {
        "seconds_start": ready - float(job.get("launched_at", STARTED)),
        "epochs": epochs,
        "seconds_test": trial.evaluate("test") if job["score"] else None,
        "num_clips": {name: len(loader.dataset) for name, loader in trial.loaders.items()},
        "accuracy": trial.accuracy,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

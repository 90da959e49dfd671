"""The study file: what is compared, on which data, under which budget. Data only, never code.

Every field has its meaning beneath it. ``vidclass.sweep.load`` reads a file into a ``StudySpec``
and tells all mistakes at once, with their lines.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from vidclass.data.clip_choice import ONE_VIEW, ClipChoice
from vidclass.data.controls import LeakControl
from vidclass.data.crops import CropOptions
from vidclass.data.frame_store import StoreOptions
from vidclass.data.motion import Input
from vidclass.data.sample_table import Labelling, Windows
from vidclass.data.transforms import Augment
from vidclass.models.backbones_library import Pooling
from vidclass.sweep.profiles import PROFILES, Profile
from vidclass.training.scoring import METRICS_OF_TASK, Metric

__all__ = [
    "ArmSpec",
    "BudgetSpec",
    "DataSpec",
    "FinalsSpec",
    "FloorsSpec",
    "HalvingSpec",
    "PrimarySpec",
    "RangeSpec",
    "SearchSpec",
    "SplitSpec",
    "StudySpec",
    "WindowSpec",
]

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class WindowSpec(_Spec):
    """The window of a video that every arm looks at."""

    span_s: float = Field(default=1.0, gt=0, le=600)
    """Length of the window in seconds, the same for all arms."""
    num_frames: int = Field(default=10, ge=1, le=512)
    """Frames spread evenly over the window; an arm sees those of them that its design asks for."""


class SplitSpec(_Spec):
    """How videos are divided; a group is never divided."""

    valid_share: float = Field(default=0.2, gt=0, lt=0.5)
    """Share of the training groups that choose checkpoints and winners."""
    test_share: float = Field(default=0.2, gt=0, lt=0.9)
    """Share of all groups scored once, at the end; outer folds set their own share."""
    folds: int | Literal["auto", "leave_one_group_out"] | None = "auto"
    """Outer folds; auto = 5 under 30 groups, else one split; null = one split;
    leave_one_group_out = a fold for each group."""
    published: Annotated[int, Field(ge=1)] | Literal["all"] | None = 1
    """Of a data set that is published with splits (UCF101, HMDB51): the number of the one that is
    taken; all = each is a fold; null = own division."""
    seed: int = Field(default=0, ge=0)
    """Seed of the division."""
    hold_out_by: str | None = None
    """Column that is never divided (`animal`), in place of `group`; several joined by `+`: each
    combination of their values."""
    balance: tuple[str, ...] = ()
    """Further columns (`sex`) whose values are spread over the splits as classes are."""
    file: str | None = None
    """A split file (`vidclass data split SOURCE --out FILE`), in the folder of the videos or from
    here; it takes the place of the fields above."""
    near_duplicates: Literal["refuse", "warn", "ignore"] = "refuse"
    """What to do about files in two splits that show the same footage: refuse to start, tell it in
    the report, or not look."""


class DataSpec(_Spec):
    """The videos, how they are stored, and how clips are taken from them."""

    task: Literal["multiclass", "multilabel"] = "multiclass"
    """multiclass: each sample shows exactly one class; multilabel: any number of them."""
    source: str = "moving_shapes"
    """`moving_shapes` (made on first use), a folder with one folder a class, or `--data`: the
    study has no videos of its own and asks for `--data FOLDER`."""
    preset: str = "default"
    """Difficulty of moving_shapes: easy, default, hard, smoke."""
    seed: int = Field(default=0, ge=0)
    """Seed with which moving_shapes is made."""
    group_pattern: str | None = None
    """Regular expression whose first bracket is the group in a file name; without a groups.csv."""
    windows: Windows | None = None
    """Samples are windows of recordings whose parts are labelled; null = each video is a sample."""
    annotator: str | None = None
    """Whose labels of parts are taken, where several people labelled."""
    subject: str | None = None
    """Whose behaviour is looked at, where several subjects are labelled; null = all together."""
    store: StoreOptions = StoreOptions()
    """Size and rate at which frames are stored."""
    window: WindowSpec = WindowSpec()
    """The shared window."""
    sampling: ClipChoice = ClipChoice()
    """Which frames of a video a clip shows."""
    input_size: int = Field(default=32, ge=16, le=1024)
    """Height and width of a frame as the models see it, pixels."""
    input: Input = "rgb"
    """What the models see of a stored frame: its colours, or motion: the `difference` from the
    frame before, or the optical `flow` from there. Motion is computed once and kept."""
    geometry: Literal["pad", "crop", "squash"] = "crop"
    """How a frame becomes square; squash lets the aspect ratio speak for the class."""
    crop: CropOptions = CropOptions()
    """Which part of a frame is shown, where geometry leaves a choice."""
    views: int = Field(default=1, ge=1, le=64)
    """Windows scored for each video; their probabilities are averaged."""
    augment: Augment = Augment()
    """Changes to training clips, the same over all frames of a clip."""
    classes: tuple[str, ...] | int | None = None
    """Classes that are taken: their names, or how many to draw; null = all."""
    share: float | None = Field(default=None, gt=0, le=1)
    """Share of the groups of each class that is taken; null = all."""
    split: SplitSpec = SplitSpec()
    """Division into train, validation and test."""
    stream: Literal["auto", "always", "never"] = "auto"
    """Clips of trials with several workers: streamed by Ray Data, or mapped; auto streams where
    frames outgrow a node's memory. Shapes no result."""
    quarantine_limit: float = Field(default=0.05, ge=0, le=1)
    """Largest share of unreadable videos with which a study may start."""

    @model_validator(mode="after")
    def _views_differ(self) -> "DataSpec":
        if self.views > 1 and self.sampling.kind in ONE_VIEW:
            raise ValueError(
                f"sampling {self.sampling.kind} shows the same frames in every view; received "
                f"views {self.views}; instead: views 1"
            )
        uncut = self.geometry == "pad" or (self.geometry == "squash" and self.crop.scale == 1)
        if uncut and self.crop.test != "centre":
            raise ValueError(
                f"crop.test {self.crop.test} needs a geometry that cuts; received {self.geometry}; "
                "instead: geometry crop, or squash with a crop.scale above 1"
            )
        if self.geometry == "pad" and self.crop.scale > 1:
            raise ValueError(
                f"geometry pad shows the whole frame; received crop.scale {self.crop.scale:g}; "
                "instead: geometry crop"
            )
        self.augment.check_input(self.input)
        return self

    @property
    def labelling(self) -> Labelling:
        """How the labels of the videos are read."""
        return Labelling(self.task, self.windows, self.annotator, self.subject)

    @property
    def clips_per_video(self) -> int:
        """Clips scored of each video: views times cuts."""
        return self.views * self.crop.num_places


class RangeSpec(_Spec):
    """A searched number; write a list instead for a choice."""

    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    log: bool = False
    """Whether the logarithm is spread evenly, as suits learning rates."""
    type: Literal["float", "int"] = "float"
    """Kind of number."""

    @model_validator(mode="after")
    def _ordered(self) -> "RangeSpec":
        if not self.low < self.high:
            raise ValueError(f"low must be below high; received low {self.low}, high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range starts above 0; received low {self.low}")
        return self


# told apart by form, so that a mistake in a range is not also told as "not a list"
SearchedSpec = Annotated[
    Annotated[RangeSpec, Tag("range")] | Annotated[list[Any], Tag("choice"), Field(min_length=1)],
    Discriminator(lambda value: "choice" if isinstance(value, list) else "range"),
]


class ArmSpec(_Spec):
    """One side of the comparison: a model, what is fixed of it and what is searched."""

    name: Name
    """Name in tables and files."""
    model: str
    """A registered model (`vidclass models`)."""
    fixed: dict[str, Any] = {}
    """Model options and training fields that never change."""
    search: dict[str, SearchedSpec] = {}
    """Searched model options and training fields."""
    start: dict[str, Any] = {}
    """A known-good first point of the search."""
    workers: int | None = Field(default=None, ge=1, le=64)
    """Processes that train a trial of this arm together; null = the study's."""


class HalvingSpec(_Spec):
    """Successive halving (ASHA, Li et al. 2020) inside each arm."""

    min_epochs: int = Field(default=3, ge=1)
    """First epoch at which a trial may be stopped."""
    reduction: int = Field(default=2, ge=2, le=10)
    """At each rung the best 1/reduction of what has been seen there goes on."""


class SearchSpec(_Spec):
    """How points are proposed and when weak ones are stopped."""

    sampler: Literal["auto", "tpe", "quasi_random", "random"] = "auto"
    """auto = quasi-random up to 10 trials an arm and fold, multivariate TPE above."""
    halving: HalvingSpec | None = HalvingSpec()
    """null gives every trial its full epochs."""
    seed: int = Field(default=0, ge=0)
    """Seed from which every other seed of the study is derived."""


class BudgetSpec(_Spec):
    """What an arm may spend: equal for all arms."""

    trials: int | None = Field(default=None, ge=1, le=10_000)
    """Trials an arm and fold; null = the profile's."""
    epochs: int = Field(default=8, ge=1, le=10_000)
    """Largest number of epochs of a trial."""
    hours: float | None = Field(default=None, gt=0)
    """Wall-clock limit of the whole study; what has been trained by then is reported."""
    retries: int = Field(default=2, ge=0, le=20)
    """Further attempts after a crash of a trial; a lost node never counts."""
    failures: int = Field(default=20, ge=0)
    """Failed trials with which the study ends."""


class FinalsSpec(_Spec):
    """The scoring of the winners; null fields take the profile's value."""

    seeds: int | None = Field(default=None, ge=1, le=50)
    """Fresh seeds a winner is trained with and scored on test."""
    rerun_top: int | None = Field(default=None, ge=1, le=50)
    """Best search trials of an arm that are run again on further seeds."""
    rerun_seeds: int | None = Field(default=None, ge=1, le=20)
    """Seeds of those, the search run counted."""
    time_seeds: int | None = Field(default=None, ge=0, le=50)
    """Seeds trained and tested on shuffled frames for the value of time; 0 leaves it out."""
    fewer_videos: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.25, 0.5)
    """Shares of the training groups with which the champion is trained again, one seed a fold: what
    more labelled videos would bring. An empty list leaves it out."""
    refit: bool = False
    """Train what is scored on train and validation together, all epochs long, keeping the last, as
    the literature does on published lists. false: on train, and validation chooses the epoch."""
    perturbations: bool = True
    """Whether finals are also tested on shuffled, reversed and frozen frames."""
    leak_controls: tuple[LeakControl, ...] = ()
    """What the champion is also trained and scored on, one seed a fold, to see that it needs the
    behaviour: a `corner` of the frame, the still `background` (left out where cameras move),
    `permuted_labels`. A control that comes close to the champion is told in the report."""


class FloorsSpec(_Spec):
    """What the floors know of a frame; arms on trained weights are held against the same ones."""

    backbone: str | None = None
    """An image net whose frozen features the floors take; null = an 8 x 8 colour grid and gradient
    histograms, which need no weights."""
    weights: str = "imagenet"
    """imagenet, none or a file, as of the arms on a backbone."""
    pooling: Pooling = "avg"
    """How its last map becomes one vector."""


class PrimarySpec(_Spec):
    """What the verdict is about; fixed before any final is scored."""

    metric: Metric = "accuracy"
    """Figure that is compared on test. Where several labels may hold: mean_average_precision
    (which a study gets that names none), macro_f1 or exact_match."""
    level: Literal["video"] = "video"
    """Clips are averaged to videos before scoring."""
    unit: Literal["group"] = "group"
    """Unit of independence of intervals and tests."""


class StudySpec(_Spec):
    """A whole study file."""

    study: Name
    """Name of the study; with the hash of what shapes results it is the study's identity."""
    title: str = ""
    """One line for the head of the report."""
    profile: Literal["laptop", "full"] = "laptop"
    """How much to spend on certainty."""
    data: DataSpec = DataSpec()
    """Videos, store, window, split."""
    train: dict[str, Any] = {}
    """Training fields common to all arms (`vidclass.training.config.TrainConfig`)."""
    budget: BudgetSpec = BudgetSpec()
    """Equal budget of the arms."""
    search: SearchSpec = SearchSpec()
    """Sampler and halving."""
    arms: tuple[ArmSpec, ...]
    """The sides of the comparison."""
    primary: PrimarySpec = PrimarySpec()
    """The figure of the verdict."""
    comparisons: Literal["all_pairs", "vs_control", "vs_best_floor"] = "all_pairs"
    """The family of paired differences over which Holm's correction runs."""
    control: str | None = None
    """The arm that vs_control compares with."""
    finals: FinalsSpec = FinalsSpec()
    """Seeds of re-runs, finals and controls."""
    floors: FloorsSpec = FloorsSpec()
    """What the floors know of a frame."""
    slots: int | None = Field(default=None, ge=1)
    """Trials at once; null = one a GPU, or one a core. Shapes no result."""
    priority: int = Field(default=0, ge=-100, le=100)
    """On a cluster that studies share, a higher one goes first (docs/sharing.md). Shapes no
    result."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that train a trial together, a slot each; a batch is divided over them."""

    @model_validator(mode="before")
    @classmethod
    def _metric_of_task(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        data, primary = content.get("data"), content.get("primary", {})
        several = isinstance(data, dict) and data.get("task") == "multilabel"
        if several and isinstance(primary, dict) and "metric" not in primary:
            metric = METRICS_OF_TASK["multilabel"][0]
            return {**content, "primary": {**primary, "metric": metric}}
        return content

    @model_validator(mode="after")
    def _fits_task(self) -> "StudySpec":
        fitting = METRICS_OF_TASK[self.data.task]
        if self.primary.metric not in fitting:
            raise ValueError(
                f"primary.metric of a {self.data.task} study is one of {', '.join(fitting)}; "
                f"received {self.primary.metric}"
            )
        if self.finals.refit and self.data.task == "multilabel":
            raise ValueError(
                "thresholds of several labels are chosen on validation, which finals.refit trains "
                "on; received finals.refit with task multilabel; instead: leave refit out"
            )
        one_label = self.data.task == "multiclass" and self.data.windows is None
        if "permuted_labels" in self.finals.leak_controls and not one_label:
            raise ValueError(
                "the leak control permuted_labels deals out labels of whole videos, one of each; "
                "received finals.leak_controls with windows or several labels; instead: corner "
                "and background"
            )
        return self

    @property
    def resolved(self) -> Profile:
        """The profile with the file's own figures put over it."""
        base = PROFILES[self.profile]
        own = {
            "trials": self.budget.trials,
            "rerun_top": self.finals.rerun_top,
            "rerun_seeds": self.finals.rerun_seeds,
            "final_seeds": self.finals.seeds,
            "time_seeds": self.finals.time_seeds,
        }
        return base.model_copy(update={k: v for k, v in own.items() if v is not None})

    def arm(self, name: str) -> ArmSpec:
        """Return the arm called ``name``."""
        return next(arm for arm in self.arms if arm.name == name)

    def workers_of(self, name: str) -> int:
        """Return how many processes train a trial of the arm ``name``; floors need one."""
        return next((arm.workers or self.workers for arm in self.arms if arm.name == name), 1)

"""How an arm is trained: one frozen object whose fields are what a study file may fix or search."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vidclass.training.balance import Balance

__all__ = ["TrainConfig"]

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class TrainConfig(BaseModel):
    """Settings of one training.

    The defaults are those that were found to work for the embedded control data set on two cores
    (AdamW, one-cycle, Glorot). Every field has one meaning, given in its description.

    Raises:
        pydantic.ValidationError: for an unknown field, a value out of its bounds, or values that
            do not fit together; all mistakes at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    epochs: Annotated[int, Field(ge=1)] = 8
    """Passes over the training videos, one clip a video and pass."""

    batch_size: Annotated[int, Field(ge=2)] = 64
    """Clips an optimizer step (over all accumulated parts)."""

    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"] = "adamw"
    """Update rule. Adam couples weight decay into the gradient, AdamW does not."""

    lr: Annotated[float, Field(gt=0.0, le=10.0)] = 2e-3
    """Highest learning rate that the schedule reaches."""

    weight_decay: Share = 0.02
    """Decay of the weights of convolutions and dense layers; biases and norms are never decayed."""

    momentum: Share = 0.9
    """Momentum of sgd and rmsprop, first beta of adam and adamw. One-cycle moves it between 0.85
    and 0.95 in adam, adamw and sgd, as its paper does, and takes no notice of this value."""

    epsilon: Annotated[float, Field(gt=0.0, lt=0.1)] = 1e-8
    """Term in the denominator of adam, adamw and rmsprop. 0.1 and more turns them into plain
    gradient descent at another rate, and 0 divides by zero: both are refused."""

    schedule: Literal["one_cycle", "cosine", "plateau", "rounds", "constant"] = "one_cycle"
    """Learning rate over the optimizer steps, laid out over all ``epochs`` from the start. rounds:
    ``num_rounds`` trainings, each at a lower constant rate and from the best weights so far."""

    warmup_share: Share = 0.25
    """Share of all steps in which the learning rate rises to ``lr``; none in rounds."""

    plateau_patience: Annotated[int, Field(ge=1)] = 3
    """Plateau and rounds: epochs without a better selection metric before a drop."""

    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Plateau and rounds: factor of one drop."""

    num_rounds: Annotated[int, Field(ge=1, le=100)] = 3
    """Rounds: how many; each has an equal part of the epochs at most. The last one's end is that of
    the training."""

    reload_best: bool = False
    """Plateau: whether a drop goes back to the best weights so far, as a new round does."""

    backbone_lr_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Learning rate of what started with trained weights, as a share of that of the rest."""

    unfreeze_after: Annotated[int, Field(ge=0)] = 0
    """Epochs in which what started with trained weights stays as it is and the rest learns alone;
    0 is off. What the model's `freeze` keeps frozen is never trained."""

    pretrain_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs of learning without labels before the training, for models that can (autoencoders,
    masked_transformer); they come on top of ``epochs``. 0 is off."""

    pretrain_on: Literal["train", "train+unlabelled"] = "train"
    """Pretraining: training videos, or also those without a label whose group is neither in
    validation nor in test."""

    pretrain_lr: Annotated[float, Field(gt=0.0, le=10.0)] = 1e-3
    """Pretraining: highest learning rate of its one cycle of AdamW."""

    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    """Loss of a clip; focal (Lin et al., 2017) lowers that of clips that are already right."""

    focal_gamma: Annotated[float, Field(gt=0.0, le=10.0)] = 2.0
    """Exponent of the focal loss."""

    label_smoothing: Share = 0.0
    """Share of the target spread evenly over all classes."""

    class_balance: Balance = "none"
    """Against unequal classes. Weights of the loss: by inverse frequency (`weights`), or by the
    inverse `effective_number` of videos (Cui et al., 2019). Or an epoch that draws all classes
    equally often: as many clips as before (`resample`), as many of each as the most frequent class
    has (`oversample`: several clips of a video of a rare class), or as the rarest
    (`undersample`: another part each epoch)."""

    balance_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """How far `class_balance` goes: 1 all the way, 0.5 to the square root of the frequencies, 0
    leaves them as they are."""

    effective_beta: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.999
    """Beta of `effective_number`: videos of a class count less the more there are; about
    1 / (1 - beta) of them count at most."""

    clip_norm: Annotated[float, Field(ge=0.0)] = 0.0
    """Largest norm of the gradient of a step; 0 is off."""

    accumulate: Annotated[int, Field(ge=1)] = 1
    """Parts that a batch is cut into to save memory; the step still sees ``batch_size`` clips."""

    ema_decay: Share = 0.0
    """Decay of the moving average of the weights, which is then what is evaluated and kept; 0 is
    off. It rises from 0.1 in the first steps, so that the random start is forgotten."""

    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better selection metric before the training ends; 0 is off."""

    stop_at_train_accuracy: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Training accuracy of an epoch at which the training ends."""

    collapse_after: Annotated[int, Field(ge=0)] = 0
    """Epochs after which a model that tells no class from another ends as collapsed; 0 is off."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass; auto is bfloat16 where the device has it natively."""

    init: Literal["glorot", "default"] = "glorot"
    """Start of the weights: Glorot uniform with zero biases, or each layer's own."""

    @model_validator(mode="after")
    def _accumulate_divides_batch(self) -> Self:
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"accumulate must divide batch_size; received: accumulate {self.accumulate}, "
                f"batch_size {self.batch_size}; instead: a power of two below the batch size"
            )
        if self.batch_size < 2 * self.accumulate:
            raise ValueError(
                "each accumulated part needs two clips for batch norm; received: accumulate "
                f"{self.accumulate}, batch_size {self.batch_size}; instead: accumulate at most "
                f"{self.batch_size // 2}"
            )
        return self

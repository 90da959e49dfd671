"""What every registered model must hold, a user's own included (``vidclass models test NAME``).

Legend: B clips, T frames, C colours, H height, W width, D features, K classes.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from vidclass.data.sampling import FramePositions
from vidclass.errors import UserError, UserErrors
from vidclass.models.registry import (
    ModelEntry,
    ModelOptions,
    Pretrains,
    create_model,
    model_entry,
    validate_options,
)

__all__ = ["CHECKS", "ContractError", "check_model"]

NUM_CLASSES = 3
BATCH = 4
TOLERANCE = 1e-4  # sums of float32 in another order
ORDER_TOLERANCE = 1e-5
STEP_SIZES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # norms of few values make steep gradients


class ContractError(UserErrors):
    """All promises of the contract that one model breaks."""


class _Case:
    """One model under test: its entry, its options, and clips that fit it."""

    def __init__(self, entry: ModelEntry, options: ModelOptions) -> None:
        self.entry = entry
        self.options = options
        self.positions: FramePositions = entry.frame_positions(options.window_frames, options)
        self.input_shape = entry.input_shape(options)
        self.output_shape = (self.input_shape[0],) * entry.framewise + (NUM_CLASSES,)
        self._built: nn.Module | None = None

    def build(self, seed: int = 0) -> nn.Module:
        """Return the model as ``create_model`` makes it under a seed."""
        torch.manual_seed(seed)
        return create_model(self.entry.name, NUM_CLASSES, **self.options.model_dump())

    def model(self) -> nn.Module:
        """Return a copy of the model under seed 0, which is much faster than to build it."""
        if self._built is None:
            self._built = self.build()
        return copy.deepcopy(self._built)

    def clips(self, batch: int = BATCH) -> torch.Tensor:
        """Return ``f_BTD``, or ``x_BTCHW`` as training gives it: a permuted view of ``x_BTHWC``."""
        generator = torch.Generator().manual_seed(1)
        if len(self.input_shape) == 2:
            return torch.randn(batch, *self.input_shape, generator=generator)
        frames, colours, height, width = self.input_shape
        x_BTHWC = torch.randn(batch, frames, height, width, colours, generator=generator)
        return x_BTHWC.permute(0, 1, 4, 2, 3)

    def classification_loss(self, model: nn.Module) -> torch.Tensor:
        """Return the loss of the clips under labels that differ, those of steps too."""
        logits_NK = model(self.clips()).flatten(0, -2)
        return nn.functional.cross_entropy(logits_NK, torch.arange(len(logits_NK)) % NUM_CLASSES)

    def scores(self, x_BTCHW: torch.Tensor, model: nn.Module | None = None) -> torch.Tensor:
        """Return the logits of a model in evaluation mode."""
        with torch.no_grad():
            logits_BK: torch.Tensor = (model or self.model()).eval()(x_BTCHW)
        return logits_BK


def check_model(name: str, **options: Any) -> None:
    """Check that a registered model holds all that the rest of vidclass relies on.

    Args:
        name: a registered name.
        **options: replace those of the entry's ``quick_options``.

    Raises:
        UserError: when no model has that name.
        UserErrors: when the options are wrong.
        ContractError: naming every promise that is broken.
    """
    entry = model_entry(name)
    checked = validate_options(name, {**entry.quick_options, **options})
    # A caller's random state is his own.
    with torch.random.fork_rng(devices=[]):
        case = _Case(entry, checked)
        failures = [
            UserError(f"{name} breaks the contract {check.__name__.strip('_')}", *failure)
            for check in CHECKS
            for failure in _failures(check, case)
        ]
    if failures:
        raise ContractError(failures)


Failure = tuple[str, str]  # what was received, what to do instead


def _failures(check: Callable[[_Case], Iterator[Failure]], case: _Case) -> list[Failure]:
    try:
        return list(check(case))
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; all of it is told
        return [(f"{type(error).__name__}: {error}", "mend the error; the other checks went on")]


def _frames_inside_window(case: _Case) -> Iterator[Failure]:
    window = case.options.window_frames
    indices = case.positions.indices
    if not indices or not all(0 <= index < window for index in indices):
        yield f"positions {indices} of {window} frames", "return positions from 0 to window - 1"
    again = case.entry.frame_positions(window, case.options)
    if again != case.positions:
        yield f"{case.positions}, then {again}", "return the same positions for the same options"


def _logits_have_shape(case: _Case) -> Iterator[Failure]:
    model = case.model()
    for mode in (True, False):
        logits_BK = model.train(mode)(case.clips())
        wanted = (BATCH, *case.output_shape)
        if tuple(logits_BK.shape) != wanted or not logits_BK.is_floating_point():
            yield (
                f"{logits_BK.dtype} {list(logits_BK.shape)} in {'train' if mode else 'eval'} mode",
                f"return float logits of shape {list(wanted)} for {BATCH} clips",
            )
        elif not bool(logits_BK.isfinite().all()):
            yield "logits that are not finite", "check divisions, logarithms and the start"


def _gradients_are_finite(case: _Case) -> Iterator[Failure]:
    model = case.model().train()
    loss = case.classification_loss(model)
    if isinstance(model, Pretrains):  # a decoder learns from that alone
        loss = loss + model.pretrain_loss(case.clips())
    loss.backward()  # type: ignore[no-untyped-call]
    trained = {key: weight for key, weight in model.named_parameters() if weight.requires_grad}
    if not trained:
        yield "no trainable parameter", "leave requires_grad on where the model is to learn"
    without = [key for key, weight in trained.items() if weight.grad is None]
    if without:
        yield f"no gradient in {', '.join(without)}", "use these in forward, or remove them"
    broken = [
        key
        for key, weight in trained.items()
        if weight.grad is not None and not bool(weight.grad.isfinite().all())
    ]
    if broken:
        yield f"gradients that are not finite in {', '.join(broken)}", "check roots and divisions"


def _a_step_lowers_the_loss(case: _Case) -> Iterator[Failure]:
    yield from _is_lowered(case, case.classification_loss, "loss")


def _a_step_lowers_the_pretraining_loss(case: _Case) -> Iterator[Failure]:
    def pretrain(model: nn.Module) -> torch.Tensor:
        loss: torch.Tensor = model.pretrain_loss(case.clips())  # type: ignore[operator]
        return loss

    able = isinstance(case.model(), Pretrains)
    if able != case.entry.pretrains:
        yield (
            f"pretrains={case.entry.pretrains} of a model {'with' if able else 'without'} "
            "pretrain_loss",
            f"register it with pretrains={able}",
        )
    if able:
        yield from _is_lowered(case, pretrain, "pretraining loss")


def _is_lowered(
    case: _Case, loss_of: Callable[[nn.Module], torch.Tensor], what: str
) -> Iterator[Failure]:
    losses: list[float] = []
    for lr in STEP_SIZES:
        model = case.model().train()
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.SGD(weights, lr)
        losses = []
        for _ in range(2):
            torch.manual_seed(5)  # the same dropout before and after the step
            loss = loss_of(model)
            losses.append(float(loss.detach()))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if losses[1] < losses[0]:
            return
    yield (
        f"{what} {losses[0]:.4g}, then {losses[1]:.4g} after a small step along the gradient",
        "let the output follow the weights: no rounding, no detached part",
    )


def _runs_in_bfloat16(case: _Case) -> Iterator[Failure]:
    model = case.model().train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(case.clips()).float().square().mean()
    loss.backward()
    if not bool(loss.isfinite()):
        yield "logits that are not finite under bfloat16 autocast", "keep sums in float32"


def _clips_do_not_mix(case: _Case) -> Iterator[Failure]:
    x_BTCHW = case.clips()
    whole_BK = case.scores(x_BTCHW)
    single_BK = torch.cat([case.scores(x_BTCHW[n : n + 1]) for n in range(BATCH)])
    difference = float((whole_BK - single_BK).abs().max())
    if difference > TOLERANCE:
        yield (
            f"logits that differ by {difference:.2g} between a batch and its clips one by one",
            "in eval mode let no clip's output depend on another clip",
        )


def _order_is_as_declared(case: _Case) -> Iterator[Failure]:
    num_frames = case.entry.num_frames(case.options)
    if case.entry.uses_order and num_frames == 1:
        yield "uses_order=True with one frame", "register it with uses_order=False"
    if case.entry.uses_order or num_frames == 1:
        return
    x_BTCHW = case.clips()
    model = case.model()
    for order in (torch.arange(num_frames).flip(0), torch.arange(num_frames).roll(1)):
        kept_BK, moved_BK = case.scores(x_BTCHW, model), case.scores(x_BTCHW[:, order], model)
        difference = float((kept_BK - moved_BK).abs().max())
        if difference > ORDER_TOLERANCE:
            yield (
                f"logits that differ by {difference:.2g} when the frames change places",
                "register it with uses_order=True, or pool the frames without order",
            )
            return


def _state_round_trip(case: _Case) -> Iterator[Failure]:
    x_BTCHW = case.clips()
    first, second = case.build(seed=1), case.build(seed=2)
    first.train()(x_BTCHW)  # so that running statistics move
    second.load_state_dict(first.state_dict())
    if not torch.equal(case.scores(x_BTCHW, first), case.scores(x_BTCHW, second)):
        yield (
            "other logits after load_state_dict",
            "keep all that the output depends on in parameters or buffers",
        )


def _same_seed_same_model(case: _Case) -> Iterator[Failure]:
    x_BTCHW = case.clips()
    results: list[torch.Tensor] = []
    for _ in range(2):
        model = case.build(seed=3).train()
        torch.manual_seed(4)
        results.append(model(x_BTCHW).detach())
    if not torch.equal(*results):
        yield "two results under one seed", "draw from torch's global generator only"


def _other_shapes_are_refused(case: _Case) -> Iterator[Failure]:
    frames, *frame = case.input_shape
    wrong = {
        "a frame more": (frames + 1, *frame),
        "no time axis": tuple(frame),
    }
    if len(frame) == 1:
        wrong["a feature more"] = (frames, frame[0] + 1)
    else:
        colours, height, width = frame
        wrong["a colour more"] = (frames, colours + 1, height, width)
        wrong["another size"] = (frames, colours, height + 8, width + 8)
    model = case.model().eval()
    for what, shape in wrong.items():
        try:
            model(torch.zeros(BATCH, *shape))
        except UserError:
            continue
        except Exception as error:  # noqa: BLE001 - any other error is what is being told
            told = type(error).__name__
        else:
            told = "no error"
        yield (
            f"{told} for {what}",
            "begin forward with vidclass.models.check_clips(x, num_frames=..., input_size=...), or "
            "check_features(f, num_frames=..., num_features=...)",
        )


def _options_are_checked(case: _Case) -> Iterator[Failure]:
    options_class = case.entry.options
    for setting, wanted in (("extra", "forbid"), ("frozen", True)):
        found = options_class.model_config.get(setting)
        if found != wanted:
            yield f"options with {setting}={found!r}", f"model_config with {setting}={wanted!r}"
    unread = [key for key, field in options_class.model_fields.items() if not field.description]
    if unread:
        yield f"no text under {', '.join(unread)}", "a docstring under each field says what it does"
    again = options_class.model_validate_json(case.options.model_dump_json())
    if again != case.options:
        yield f"{again} after JSON", "use types that JSON keeps: studies are files"


CHECKS: tuple[Callable[[_Case], Iterator[Failure]], ...] = (
    _options_are_checked,
    _frames_inside_window,
    _logits_have_shape,
    _gradients_are_finite,
    _a_step_lowers_the_loss,
    _a_step_lowers_the_pretraining_loss,
    _runs_in_bfloat16,
    _clips_do_not_mix,
    _order_is_as_declared,
    _state_round_trip,
    _same_seed_same_model,
    _other_shapes_are_refused,
)

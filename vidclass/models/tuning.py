"""Nets that start with weights of their own, and of which training may change a part."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from torch import nn

from vidclass.models.pretrained import skips_pretrained

__all__ = ["Freeze", "Tuned", "unfreeze_last"]

Freeze = Literal["frozen", "last", "full", "staged"]
"""What is trained: nothing; the last layers; all; nothing at first, then the last layers."""

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class Tuned(nn.Module):
    """A net that starts with the weights of a file, or with draws of its own.

    A subclass says in ``_random_net`` how the net is made, and in ``_load`` how it gets the
    weights of its file.

    Args:
        random: whether it starts at random.
        freeze: what of it is trained: nothing, its last layers, all; or, staged, nothing in the
            training's first epochs and then its last layers.
        last_layers: how many those are.
    """

    draws_own_start: ClassVar[bool] = True
    """Whoever draws the weights of a model anew leaves what is inside to `reset_parameters`."""

    def __init__(self, *, random: bool, freeze: Freeze, last_layers: int) -> None:
        super().__init__()
        self.random = random
        self.freeze = freeze
        self.last_layers = last_layers
        self.held = False
        self.net = self._random_net()
        on_meta = any(weight.is_meta for weight in self.net.parameters())
        if not (random or on_meta or skips_pretrained()):
            self._load()
        self.hold(False)

    def _random_net(self) -> nn.Module:
        raise NotImplementedError

    def _load(self) -> None:
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Go back to the start: the weights of the file, or others at random."""
        if self.random:
            self.net.load_state_dict(self._random_net().state_dict())
        else:
            self._load()

    def hold(self, held: bool) -> None:
        """Freeze the whole net for the time being, or train again what ``freeze`` says."""
        self.held = held
        match "frozen" if held else self.freeze:
            case "frozen":
                self.net.requires_grad_(False)
            case "last" | "staged":
                unfreeze_last(self.net, self.last_layers)
            case "full":
                self.net.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; what is not trained stays as in evaluation, statistics of norms too."""
        super().train(mode)
        for module in _still(self.net):
            module.eval()
        return self


def _layers(net: nn.Module) -> Iterator[tuple[nn.Module, bool]]:
    """Yield the parts of ``net`` with weights of their own, and whether each begins a layer."""
    for module in net.modules():
        if any(True for _ in module.parameters(recurse=False)):
            yield module, isinstance(module, LAYERS)


def unfreeze_last(net: nn.Module, count: int) -> None:
    """Train the last ``count`` convolutions or dense layers with the norms after them, no more."""
    parts = list(_layers(net))
    starts = [number for number, (_, begins) in enumerate(parts) if begins]
    first = starts[-count] if count <= len(starts) else 0
    for number, (module, _) in enumerate(parts):
        for weight in module.parameters(recurse=False):
            weight.requires_grad_(number >= first)


def _still(net: nn.Module) -> Iterator[nn.Module]:
    """Yield what stays in evaluation mode: layers that are not trained, and what follows each."""
    if not any(weight.requires_grad for weight in net.parameters()):
        yield net
        return
    trained = False
    for module in net.modules():
        own = list(module.parameters(recurse=False))
        if own:
            trained = any(weight.requires_grad for weight in own)
        if not trained and not any(True for _ in module.children()):
            yield module

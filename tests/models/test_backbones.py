from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vidclass.errors import UserErrors
from vidclass.models import (
    FeatureSource,
    create_model,
    list_models,
    model_entry,
    validate_options,
)
from vidclass.models.backbones import (
    Backbone,
    BackboneOptions,
    OnFeatures,
    OnFrames,
    frozen_backbone,
    with_backbone,
)
from vidclass.models.profile import profile
from vidclass.models.trained import trained_model
from vidclass.models.tuning import unfreeze_last
from vidclass.training.optimizers import initialise

SMALL = {"backbone": "shufflenet_v2_x0_5", "weights": "none", "input_size": 32}  # it has norms


def options(**values: Any) -> BackboneOptions:
    return BackboneOptions.model_validate({**SMALL, **values})


def frames(batch: int = 4, channels: int = 3) -> torch.Tensor:
    return torch.randn(batch, channels, 32, 32, generator=torch.Generator().manual_seed(0))


def trained_names(net: nn.Module) -> list[str]:
    return [name for name, weight in net.named_parameters() if weight.requires_grad]


def test_input_size_is_the_backbones_own_where_none_is_given() -> None:
    assert BackboneOptions.model_validate({"backbone": "inception_v3"}).input_size == 299
    assert BackboneOptions.model_validate({}).input_size == 224
    assert options(backbone="resnet50", input_size=64).input_size == 64


@pytest.mark.parametrize(
    "name", [n for n in list_models() if n.startswith("backbone_")] + ["lrcn", "lstm_attention"]
)
def test_shown_default_is_that_of_the_default_backbone(name: str) -> None:
    fields = model_entry(name).options.model_fields
    assert fields["input_size"].default == 224 == validate_options(name, {}).input_size
    assert "299" in str(fields["input_size"].description)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"backbone": "resnet5"}, "an image net of torchvision or timm"),
        ({"backbone": "inception_v3", "input_size": 32}, "frames have a size"),
        ({"freeze": "thawed"}, "'frozen', 'last', 'full' or 'staged'"),
    ],
)
def test_wrong_options_are_told(wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(UserErrors, match=rule):
        validate_options("backbone_pooling", {**SMALL, **wrong})


def test_a_frozen_backbone_stays_as_it_is_in_training() -> None:
    backbone = Backbone(options()).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    first = backbone(frames())
    assert torch.equal(first, backbone(frames())) and not first.requires_grad
    assert all(torch.equal(before[key], value) for key, value in backbone.state_dict().items())
    assert not trained_names(backbone) and not any(m.training for m in backbone.net.modules())


def test_last_layers_learn_with_their_norms_and_no_others() -> None:
    backbone = Backbone(options(freeze="last", last_layers=1)).train()
    assert trained_names(backbone.net) == ["conv5.0.weight", "conv5.1.weight", "conv5.1.bias"]
    before = {key: value.clone() for key, value in backbone.net.state_dict().items()}
    backbone(frames())
    moved = [
        key for key, now in backbone.net.state_dict().items() if not torch.equal(before[key], now)
    ]
    assert moved == [
        f"conv5.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")
    ]


def test_more_last_layers_than_there_are_is_all() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    unfreeze_last(net, 9)
    assert trained_names(net) == [name for name, _ in net.named_parameters()]
    unfreeze_last(net, 1)
    assert trained_names(net) == ["2.weight", "2.bias"]


def test_holding_freezes_for_the_time_being() -> None:
    backbone = Backbone(options(freeze="full")).train()
    everything = trained_names(backbone)
    backbone.hold(True)
    assert not trained_names(backbone) and not backbone.net.training
    backbone.hold(False)
    assert trained_names(backbone) == everything and backbone.net.training


def test_a_widened_backbone_sees_a_still_clip_as_its_one_frame(tmp_path: Path) -> None:
    torch.save(Backbone(options()).net.state_dict(), tmp_path / "a.pth")
    given = options(weights=str(tmp_path / "a.pth"))
    narrow, wide = Backbone(given).eval(), Backbone(given, num_frames=4).eval()
    torch.testing.assert_close(wide(frames().repeat(1, 4, 1, 1)), narrow(frames()))
    # frozen, only its widened convolution learns: it could not tell one frame from another
    assert trained_names(wide.net) == ["conv1.0.weight"]
    assert not wide.train().net.conv1[1].training


def test_a_trained_start_is_found_again(tmp_path: Path) -> None:
    torch.save(Backbone(options()).net.state_dict(), tmp_path / "a.pth")
    model = nn.Sequential(
        Backbone(options(weights=str(tmp_path / "a.pth"), freeze="full")), nn.Linear(1024, 2)
    )
    start = model[0](frames()).detach()
    for weight in model.parameters():
        nn.init.zeros_(weight)
    torch.manual_seed(0)
    initialise(model.eval(), "glorot")
    torch.testing.assert_close(
        model.eval()[0](frames()),
        Backbone(options(weights=str(tmp_path / "a.pth"))).eval()(frames()),
    )
    assert bool(model[1].weight.any()) and start.shape == (4, 1024)


def test_a_random_start_follows_the_seed() -> None:
    def drawn(seed: int) -> dict[str, torch.Tensor]:
        model = Backbone(options(freeze="full"))
        torch.manual_seed(seed)
        initialise(model, "glorot")
        return model.state_dict()

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert any(not torch.equal(value, other[key]) for key, value in first.items())


def test_a_frozen_random_backbone_is_always_the_same() -> None:
    source = FeatureSource("shufflenet_v2_x0_5", "none", "avg", 32, 1024)
    before = torch.get_rng_state()
    first, again = frozen_backbone(source), frozen_backbone(source)
    assert torch.equal(first(frames()), again(frames()))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "name",
    [
        "backbone_late_fusion",
        "backbone_pooling",
        "backbone_single_frame",
        "backbone_tsn",
        "concat_mlp",
        "lrcn",
        "lstm_attention",
        "temporal_transformer",
    ],
)
def test_features_and_clips_give_the_same_logits(name: str) -> None:
    entry = model_entry(name)
    values = validate_options(name, SMALL)
    head = create_model(name, 3, **SMALL).eval()
    assert isinstance(head, OnFeatures) and entry.input_of(values) == "features"
    whole = with_backbone(head, entry, values)
    assert isinstance(whole, OnFrames) and not whole.training
    num_frames = entry.num_frames(values)
    x_BTCHW = torch.randn(2, num_frames, 3, 32, 32)
    source = entry.features(values)
    assert source is not None
    f_bD = frozen_backbone(source)(x_BTCHW.flatten(0, 1))
    torch.testing.assert_close(head(f_bD.view(2, num_frames, -1)), whole(x_BTCHW))
    trained = [weight for weight in whole.parameters() if weight.requires_grad]
    assert sum(map(torch.numel, trained)) == sum(map(torch.numel, head.parameters()))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("backbone_single_frame", {"freeze": "full"}),
        ("backbone_single_frame", {"freeze": "last"}),
        ("backbone_single_frame", {"cache_features": False}),
        ("backbone_early_fusion", {}),
        ("backbone_slow_fusion", {}),
        ("backbone_tsm", {}),
    ],
)
def test_what_features_cannot_serve_takes_clips(name: str, values: dict[str, Any]) -> None:
    entry = model_entry(name)
    checked = validate_options(name, {**SMALL, **values})
    assert entry.features(checked) is None and entry.input_of(checked) == "clips"
    model = create_model(name, 3, **SMALL, **values)
    assert with_backbone(model, entry, checked) is model


def norm_channels(name: str) -> int:
    with torch.device("meta"):
        net = Backbone(BackboneOptions.model_validate({"backbone": name, "weights": "none"}))
    return sum(part.num_features for part in net.modules() if isinstance(part, nn.BatchNorm2d))


@pytest.mark.parametrize(
    ("arm", "backbone", "total", "trained"),
    [
        ("backbone_single_frame", "mobilenet_v2", 2_387_365, 129_381),
        ("backbone_late_fusion", "mobilenet_v2", 2_516_645, 258_661),
        ("backbone_single_frame", "vgg19", 20_076_197, 51_813),
        ("backbone_late_fusion", "vgg19", 20_127_909, 103_525),
        ("backbone_single_frame", "resnet50", 23_794_661, 206_949),
        ("backbone_late_fusion", "resnet50", 24_001_509, 413_797),
        ("backbone_single_frame", "inception_v3", 22_009_733, 206_949),
        ("backbone_late_fusion", "inception_v3", 22_216_581, 413_797),
    ],
)
def test_counts_are_those_of_the_ancestor(
    arm: str, backbone: str, total: int, trained: int
) -> None:
    costs = profile(arm, 101, backbone=backbone)
    # Keras' ResNet has a bias in each convolution, its Inception no scale in its norms.
    biases = norm_channels(backbone) if backbone == "resnet50" else 0
    scales = norm_channels(backbone) if backbone == "inception_v3" else 0
    assert costs.parameters_counted_as_keras + biases - scales == total
    assert costs.trained_parameters == trained


def test_image_mlp_has_the_count_of_the_ancestor() -> None:
    costs = profile("backbone_single_frame", 7, backbone="resnet50", size_1=512)
    assert costs.trained_parameters == 1_052_679


def test_separate_towers_have_a_backbone_each() -> None:
    shared = profile("backbone_late_fusion", 8, **SMALL, freeze="full")
    separate = profile("backbone_late_fusion", 8, **SMALL, freeze="full", shared_towers=False)
    one = profile("backbone_single_frame", 8, **SMALL, freeze="full").parameters - (1024 + 1) * 8
    assert separate.parameters - shared.parameters == one
    with pytest.raises(UserErrors, match="differ only once they are trained"):
        validate_options("backbone_late_fusion", {**SMALL, "shared_towers": False})


def test_pooling_over_time_is_mean_or_maximum() -> None:
    f_BTD = torch.randn(2, 4, 1024)
    for how, pooled in (("avg", f_BTD.mean(1)), ("max", f_BTD.amax(1))):
        model = create_model("backbone_pooling", 3, **SMALL, temporal_pooling=how).eval()
        torch.testing.assert_close(model(f_BTD), model.head.dense(pooled))
        segments = create_model("backbone_tsn", 3, **SMALL, consensus=how).eval()
        each = segments.head.dense(f_BTD[:, :3])
        wanted = each.mean(1) if how == "avg" else each.amax(1)
        torch.testing.assert_close(segments(f_BTD[:, :3]), wanted)


def test_segments_are_seen_in_their_middle() -> None:
    values = validate_options("backbone_tsn", {**SMALL, "num_frames": 3})
    assert model_entry("backbone_tsn").frame_positions(10, values).indices == (1, 5, 8)


def test_slow_fusion_joins_neighbours_step_by_step() -> None:
    model = create_model("backbone_slow_fusion", 3, **SMALL).eval()
    x_BTCHW = torch.randn(2, 10, 3, 32, 32)
    net, head = model.backbones.layers[0], model.head
    towers = [net(x_BTCHW[:, t : t + 4].flatten(1, 2)) for t in (0, 2, 4, 6)]
    left, right = (head.first(torch.cat(towers[n : n + 2], dim=1)).relu() for n in (0, 2))
    whole = head.second(torch.cat([left, right], dim=1)).relu()
    torch.testing.assert_close(model(x_BTCHW), head.dense(whole))


@pytest.mark.parametrize(
    "name",
    [
        "backbone_slow_fusion",
        "backbone_tsm",
        "lrcn",
        "lstm_attention",
        "temporal_transformer",
    ],
)
@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_exported_models_take_any_number_of_clips(name: str) -> None:
    """The form in which winners are kept; a batch size in it would be that of the example."""
    values = {**SMALL, "backbone": "squeezenet1_1"}
    model = trained_model(name, 3, values, create_model(name, 3, **values).state_dict())
    num_frames = model_entry(name).num_frames(validate_options(name, values))
    exported = torch.export.export(
        model,
        (torch.randn(2, num_frames, 3, 32, 32),),
        dynamic_shapes=({0: torch.export.Dim.AUTO},),
    ).module()
    x_BTCHW = torch.randn(5, num_frames, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(exported(x_BTCHW), model(x_BTCHW))

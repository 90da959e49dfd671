import pytest
import torch
from torch import nn
from torchvision import models as torchvision_models

from vidclass.errors import UserError
from vidclass.models.backbones_library import backbone_facts, build_trunk, num_features, pool
from vidclass.models.profile import counted_as_keras

timm = pytest.importorskip("timm")


def norm_channels(net: nn.Module) -> int:
    return sum(part.num_features for part in net.modules() if isinstance(part, nn.BatchNorm2d))


# (name, library, own size, features, parameters that the ancestors' framework counts in the base)
KERAS_BASES = [
    ("vgg16", "torchvision", 224, 512, 14_714_688),
    ("vgg19", "torchvision", 224, 512, 20_024_384),
    ("resnet50", "torchvision", 224, 2048, 23_587_712),
    ("mobilenet_v2", "torchvision", 224, 1280, 2_257_984),
    ("inception_v3", "torchvision", 299, 2048, 21_802_784),
    ("inception_resnet_v2", "timm", 299, 1536, 54_336_736),
    ("xception", "timm", 299, 2048, 20_861_480),
]


@pytest.mark.parametrize(("name", "library", "size", "features", "count"), KERAS_BASES)
def test_bases_of_the_ancestors_have_their_counts(
    name: str, library: str, size: int, features: int, count: int
) -> None:
    facts = backbone_facts(name)
    assert (facts.library, facts.input_size) == (library, size)
    assert num_features(name, size) == features
    with torch.device("meta"):
        net = build_trunk(name, size)
    # Keras gives the convolutions of its ResNets a bias each, one a channel of the norm after it,
    # and leaves out the scale of the norms of its Inceptions.
    biases = norm_channels(net) if name == "resnet50" else 0
    scales = norm_channels(net) if name.startswith("inception") else 0
    assert counted_as_keras(net) + biases - scales == count


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "squeezenet1_1",
        "densenet121",
        "convnext_tiny",
        "efficientnet_b0",
        "googlenet",
        "regnet_y_400mf",
        "shufflenet_v2_x0_5",
        "swin_t",
        "vit_b_16",
        "maxvit_t",
        "mnasnet0_5",
        "mobilenet_v3_small",
        "timm:vit_tiny_patch16_224",
        "timm:swin_tiny_patch4_window7_224",
        "timm:efficientnet_b0",
    ],
)
def test_further_families_make_a_vector_of_a_frame(name: str) -> None:
    facts = backbone_facts(name)
    assert num_features(name, facts.input_size) >= 192
    assert facts.file and all(0 < std < 128 for std in facts.normalisation.std)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "shufflenet_v2_x0_5", "densenet121"])
def test_trunk_and_classifier_make_the_net_of_torchvision(name: str) -> None:
    torch.manual_seed(0)
    net = torchvision_models.get_model(name, weights=None).eval()
    trunk = build_trunk(name, 64).eval()
    trunk.load_state_dict(net.state_dict(), strict=False)
    x_bCHW = torch.randn(2, 3, 64, 64)
    last = list(net.children())[-1]
    with torch.no_grad():
        torch.testing.assert_close(
            last(pool(trunk(x_bCHW), trunk, "avg")), net(x_bCHW), atol=1e-5, rtol=1e-5
        )


def test_inception_sees_what_its_own_rescaling_gives() -> None:
    """torchvision rescales inside the net; here the frames are normalised that way at once."""
    torch.manual_seed(0)
    net = torchvision_models.inception_v3(weights=None, init_weights=False, transform_input=True)
    x_bCHW = torch.rand(2, 3, 16, 16)
    mean_C, std_C = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    usual = (x_bCHW - mean_C[:, None, None]) / std_C[:, None, None]
    own = backbone_facts("inception_v3").normalisation
    here = (255 * x_bCHW - own.mean[0]) / own.std[0]
    torch.testing.assert_close(net._transform_input(usual), here, atol=1e-5, rtol=1e-5)


def test_trunk_of_timm_makes_what_its_own_pooling_makes() -> None:
    torch.manual_seed(0)
    net = timm.create_model("efficientnet_b0", num_classes=0).eval()
    trunk = build_trunk("timm:efficientnet_b0", 64).eval()
    trunk.load_state_dict(net.state_dict())
    x_bCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(pool(trunk(x_bCHW), trunk, "avg"), net(x_bCHW))


def test_pooling_leaves_prefix_tokens_out_and_knows_channels_last() -> None:
    tokens_bND = torch.tensor([[[9.0], [1.0], [3.0]]])
    net = nn.Identity()
    net.num_prefix_tokens = 1
    assert pool(tokens_bND, net, "avg").tolist() == [[2.0]]
    assert pool(tokens_bND, net, "max").tolist() == [[3.0]]
    net.output_fmt = "NHWC"
    maps_bHWC = torch.arange(8.0).view(1, 2, 2, 2)
    assert pool(maps_bHWC, net, "avg").tolist() == [[3.0, 4.0]]
    assert pool(maps_bHWC, nn.Identity(), "max").tolist() == [[3.0, 7.0]]


@pytest.mark.parametrize(
    ("name", "size", "remedy"),
    [("inception_v3", 64, "input_size: 299"), ("maxvit_t", 112, "input_size: 224")],
)
def test_frames_of_an_impossible_size_are_refused(name: str, size: int, remedy: str) -> None:
    with pytest.raises(UserError, match=f"a size that the backbone {name} can take") as told:
        num_features(name, size)
    assert remedy in told.value.remedy


def test_unknown_names_are_told_with_close_ones() -> None:
    with pytest.raises(UserError) as told:
        backbone_facts("resnet5")
    assert "resnet50" in told.value.remedy
    with pytest.raises(UserError, match="image net of torchvision or timm"):
        backbone_facts("torchvision:inception_resnet_v2")


def test_without_timm_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidclass.models.backbones_library._timm", lambda: None)
    backbone_facts.cache_clear()
    with pytest.raises(UserError, match="pip install 'vidclass\\[models\\]'"):
        backbone_facts("inception_resnet_v2")
    assert backbone_facts("resnet18").library == "torchvision"
    backbone_facts.cache_clear()

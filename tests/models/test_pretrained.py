import urllib.error
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models as torchvision_models

from vidclass.errors import UserError, UserErrors
from vidclass.models import create_model
from vidclass.models.backbones_library import backbone_facts, build_trunk, pool
from vidclass.models.pretrained import (
    file_hash,
    find_weights,
    fitting_state,
    load_state,
    read_state,
    skip_pretrained,
    weights_folder,
    weights_hash,
)

timm = pytest.importorskip("timm")


@pytest.fixture
def shared_weights(repository: Path) -> Path:
    folder = repository.parent / "shared" / "weights"
    if not folder.is_dir():
        pytest.skip("needs the weights in ../shared/weights, which are not part of the repository")
    return folder


def published(name: str) -> dict[str, torch.Tensor]:
    """Return a state with the keys and shapes that the library publishes, classifier included."""
    facts = backbone_facts(name)
    with torch.device("meta"):
        if facts.library == "timm":
            net = timm.create_model(facts.name, pretrained=False)
        else:
            net = torchvision_models.get_model(facts.name, weights=None)
    return dict(net.state_dict())


@pytest.mark.parametrize(
    "name",
    [
        "vgg16",
        "vgg19",
        "resnet18",
        "resnet50",
        "mobilenet_v2",
        "inception_v3",
        "inception_resnet_v2",
        "xception",
        "squeezenet1_1",
        "efficientnet_b0",
        "convnext_tiny",
        "densenet121",
        "vit_b_16",
        "swin_t",
        "timm:vit_tiny_patch16_224",
        "timm:convnext_tiny",
    ],
)
def test_published_keys_fit_and_wrong_ones_are_named(name: str) -> None:
    facts = backbone_facts(name)
    with torch.device("meta"):
        trunk = build_trunk(name, facts.input_size)
    state = published(name)
    load_state(trunk, state, source="a file", without=facts.classifiers)
    weights = [key for key in trunk.state_dict() if not key.endswith("num_batches_tracked")]
    lost, bent = weights[0], weights[-1]
    state.pop(lost)
    state[bent] = torch.zeros(7, 7, 7)
    state["aerial.weight"] = torch.zeros(1)
    with pytest.raises(UserErrors) as told:
        load_state(trunk, state, source="a file", without=facts.classifiers)
    texts = [str(error) for error in told.value.errors]
    assert len(texts) == 3
    assert lost in texts[0] and "aerial.weight" in texts[1] and f"{bent} [7, 7, 7]" in texts[2]


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    net = nn.Linear(2, 2)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(UserErrors, match="have every key"):
        load_state(net, {"weight": torch.zeros(2, 2)}, source="a file")
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_mobilenet_with_weights_equals_torchvision(shared_weights: Path, home: Path) -> None:
    path = shared_weights / "mobilenet_v2_imagenet_backbone_torchvision.pth"
    net = torchvision_models.mobilenet_v2(weights=None).eval()
    net.load_state_dict(torch.load(path, weights_only=True), strict=False)
    x_BTCHW = torch.randn(2, 1, 3, 96, 96)
    options = {"backbone": "mobilenet_v2", "weights": str(path), "input_size": 96}
    model = create_model("backbone_single_frame", 5, **options, cache_features=False).eval()
    with torch.no_grad():
        ours = model.features(x_BTCHW)[:, 0]
        bare = net.features(x_BTCHW[:, 0]).mean(dim=(2, 3))
    assert float(bare.abs().max()) > 0.5
    torch.testing.assert_close(ours, bare, atol=1e-5, rtol=1e-5)


def test_squeezenet_with_weights_equals_torchvision(shared_weights: Path, home: Path) -> None:
    path = shared_weights / "squeezenet1_1_imagenet_torchvision.pth"
    net = torchvision_models.squeezenet1_1(weights=None).eval()
    net.load_state_dict(torch.load(path, weights_only=True))
    home.joinpath("weights").mkdir()
    home.joinpath("weights", "squeeze.pth").symlink_to(path)
    options = {"backbone": "squeezenet1_1", "weights": "squeeze.pth", "input_size": 96}
    model = create_model("backbone_pooling", 5, **options, num_frames=3, cache_features=False)
    x_BTCHW = torch.randn(2, 3, 3, 96, 96)
    with torch.no_grad():
        maps_bCHW = net.features(x_BTCHW.flatten(0, 1))
        torch.testing.assert_close(
            model.eval().features(x_BTCHW).flatten(0, 1),
            maps_bCHW.mean(dim=(2, 3)),
            atol=1e-5,
            rtol=1e-5,
        )


def test_offline_the_place_for_the_file_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(UserError) as told:
        create_model("backbone_single_frame", 5, freeze="full")
    place = home / "weights" / "resnet18-f37072fd.pth"
    assert str(place) in told.value.remedy and "no route to host" in str(told.value.received)
    assert "weights: none" in told.value.remedy and not place.exists()
    assert not list(place.parent.glob("*.aside"))
    # and once the file is there no network is asked
    torch.save(build_trunk("resnet18", 224).state_dict(), place)
    assert find_weights("resnet18", "imagenet") == place
    create_model("backbone_single_frame", 5, freeze="full")


def test_a_downloaded_file_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def download(url: str, path: str, hash_prefix: str | None, progress: bool) -> None:
        asked.append((url.rsplit("/", 1)[-1], hash_prefix))
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    paths = {find_weights("squeezenet1_1", "imagenet") for _ in range(2)}
    assert paths == {home / "weights" / "squeezenet1_1-b8a52dc0.pth"}
    assert asked == [("squeezenet1_1-b8a52dc0.pth", "b8a52dc0")]


def test_a_file_that_is_not_there_is_told(home: Path) -> None:
    with pytest.raises(UserError, match="weights are `imagenet`, `none` or a file") as told:
        find_weights("resnet18", "lost.pth")
    assert str(weights_folder()) in told.value.remedy


@pytest.mark.parametrize(
    ("name", "content"),
    [("torn.pth", b"PK\x03\x04"), ("harmful.pth", None), ("list.pth", [1, 2])],
)
def test_foreign_files_are_refused(tmp_path: Path, name: str, content: object) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content if content is not None else {"weight": nn.Linear(1, 1)}, path)
    with pytest.raises(UserError, match="a file of weights holds tensors by their keys"):
        read_state(path)


def test_wrappers_and_prefixes_are_taken_off(tmp_path: Path) -> None:
    torch.save({"state_dict": {"module.weight": torch.ones(2)}, "epoch": 3}, tmp_path / "a.pth")
    assert list(read_state(tmp_path / "a.pth")) == ["weight"]
    old = {"features.denseblock1.denselayer1.norm.1.weight": torch.ones(2)}
    torch.save(old, tmp_path / "b.pth")
    assert list(read_state(tmp_path / "b.pth")) == ["features.denseblock1.denselayer1.norm1.weight"]


def test_hash_follows_the_content(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"weight": torch.ones(2)}, path)
    first = file_hash(path)
    assert weights_hash("resnet18", str(path)) == first and len(first) == 64
    assert weights_hash("resnet18", "none") == "none"
    torch.save({"weight": torch.ones(3)}, path)
    assert file_hash(path) != first


def test_transformers_take_frames_of_another_size() -> None:
    name = "timm:vit_tiny_patch16_224"
    trained, smaller = build_trunk(name, 224), build_trunk(name, 64)
    state = fitting_state(trained.state_dict(), smaller, backbone_facts(name), 64)
    load_state(smaller, state, source="a file")
    assert smaller.state_dict()["pos_embed"].shape[1] == 1 + 16
    f_bD = pool(smaller(torch.randn(1, 3, 64, 64)), smaller, "avg")
    assert bool(f_bD.isfinite().all())


@pytest.mark.slow
def test_torchvisions_transformer_takes_frames_of_another_size() -> None:
    trained, smaller = build_trunk("vit_b_16", 224), build_trunk("vit_b_16", 64)
    facts = backbone_facts("vit_b_16")
    load_state(smaller, fitting_state(trained.state_dict(), smaller, facts, 64), source="a file")
    assert smaller(torch.randn(1, 3, 64, 64)).shape == (1, 1 + 16, 768)


def test_weights_are_not_read_where_a_checkpoint_follows(home: Path) -> None:
    with skip_pretrained():
        create_model("backbone_single_frame", 5, weights="lost.pth", freeze="full")
    with pytest.raises(UserError, match="lost.pth"):
        create_model("backbone_single_frame", 5, weights="lost.pth", freeze="full")

"""Encoders of transformers on small ones of their own kind, saved as they are published."""

from pathlib import Path
from typing import Any

import pytest
import torch

from vidclass.errors import UserError, UserErrors
from vidclass.models import create_model, validate_options
from vidclass.models.contract import check_model
from vidclass.models.encoder_net import Encoder
from vidclass.models.encoders_library import ENCODERS, KINDS, encoder_facts, encoder_folder

transformers = pytest.importorskip("transformers")

SIDE, FRAMES, WIDTH = 32, 4, 24
SMALL: dict[str, dict[str, Any]] = {
    "videomae": {"image_size": SIDE, "num_frames": FRAMES, "intermediate_size": 24},
    "vjepa2": {
        "crop_size": SIDE,
        "frames_per_clip": FRAMES,
        "pred_hidden_size": WIDTH,
        "pred_num_attention_heads": 2,
        "pred_num_hidden_layers": 1,
    },
    "dinov2": {"image_size": 28, "patch_size": 14},
    "dinov2_with_registers": {"image_size": 28, "patch_size": 14},
    "dinov3_vit": {"image_size": SIDE, "intermediate_size": 24, "num_register_tokens": 4},
}


def small_net(model_type: str) -> Any:
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.AutoConfig.for_model(model_type, **sizes, **SMALL[model_type])
    torch.manual_seed(0)
    return transformers.AutoModel.from_config(config).eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each type, as a publisher saves it."""
    root = tmp_path_factory.mktemp("encoders")
    for model_type in KINDS:
        small_net(model_type).save_pretrained(root / model_type)
    return {model_type: root / model_type for model_type in KINDS}


def inputs(model_type: str, batch: int = 2) -> torch.Tensor:
    torch.manual_seed(1)
    if KINDS[model_type] == "clips":
        return torch.randn(batch, FRAMES, 3, SIDE, SIDE)
    side = 28 if model_type.startswith("dinov2") else SIDE
    return torch.randn(batch, 3, side, side)


@pytest.mark.parametrize("model_type", KINDS)
def test_features_are_those_of_the_library(model_type: str, folders: dict[str, Path]) -> None:
    x = inputs(model_type)
    clips = KINDS[model_type] == "clips"
    encoder = Encoder(
        str(folders[model_type]),
        "published",
        num_frames=FRAMES if clips else 1,
        input_size=x.shape[-1],
        grid=1,
    ).eval()
    kept = {"skip_predictor": True} if model_type == "vjepa2" else {}
    with torch.no_grad():
        tokens_BND = small_net(model_type)(x, **kept).last_hidden_state
        made = encoder(x)
    if clips:  # two steps of 2 x 2 tokens
        torch.testing.assert_close(made, tokens_BND.unflatten(1, (2, 4)).mean(2))
    else:  # class and register tokens lead
        torch.testing.assert_close(made, tokens_BND[:, -4:].mean(1))
    assert len(encoder.weights_sha256) == 64
    assert not any(weight.requires_grad for weight in encoder.parameters())


@pytest.mark.parametrize("model_type", KINDS)
def test_arms_hold_the_contract_on_it(model_type: str, folders: dict[str, Path]) -> None:
    arm = "clip_encoder_probe" if KINDS[model_type] == "clips" else "frame_encoder_probe"
    options = {
        "encoder": str(folders[model_type]),
        "input_size": inputs(model_type).shape[-1],
        "weights": "published",
        "num_frames": FRAMES,
        "num_layers": 1,
    }
    check_model(arm, **options)
    check_model(arm, **options, cache_features=False)
    check_model(arm, **options, freeze="last", last_layers=6)


def test_a_grid_keeps_places_apart(folders: dict[str, Path]) -> None:
    made = {}
    for grid in (1, 2):
        encoder = Encoder(
            str(folders["videomae"]), "published", num_frames=FRAMES, input_size=SIDE, grid=grid
        ).eval()
        with torch.no_grad():
            made[grid] = encoder(inputs("videomae"))
    assert made[2].shape == (2, 2, 4 * WIDTH)
    torch.testing.assert_close(made[2].unflatten(2, (4, WIDTH)).mean(2), made[1])


def test_a_checkpoint_of_pretraining_gives_its_encoder(tmp_path: Path) -> None:
    config = small_net("videomae").config
    whole = transformers.VideoMAEForPreTraining(config).eval()
    whole.save_pretrained(tmp_path)
    encoder = Encoder(str(tmp_path), "published", num_frames=FRAMES, input_size=SIDE, grid=2)
    patches = "embeddings.patch_embeddings.projection.weight"
    assert torch.equal(encoder.net.state_dict()[patches], whole.videomae.state_dict()[patches])


def test_missing_keys_and_wrong_shapes_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_text((folders["dinov2"] / "config.json").read_text())
    state = load_file(folders["dinov2"] / "model.safetensors")
    lost, bent = "encoder.layer.1.norm1.weight", "encoder.layer.0.norm1.weight"
    del state[lost]
    state[bent] = torch.zeros(3)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserErrors) as told:
        Encoder(str(tmp_path), "published", num_frames=1, input_size=28, grid=1)
    assert lost in str(told.value) and bent in str(told.value)


def test_a_torn_file_is_told(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folders["dinov2"] / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="can be read"):
        Encoder(str(tmp_path), "published", num_frames=1, input_size=28, grid=1)


def test_without_a_network_the_files_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(repository: str, file: str) -> str:
        raise ConnectionError(f"no route to {repository}/{file}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    name = "facebook/dinov2-small"
    with pytest.raises(UserError) as told:
        encoder_folder(name)
    assert str(home / "weights" / name) in told.value.remedy
    assert "config.json and model.safetensors" in told.value.remedy

    def download(repository: str, file: str) -> str:
        (home / file).write_text(f'{{"model_type": "dinov2", "from": "{repository}"}}')
        return str(home / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    folder = encoder_folder(name)
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors"}
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    assert encoder_folder(name) == folder


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("clip_encoder_probe", {"encoder": "facebook/dinov2-small"}, "frame_encoder_probe"),
        ("frame_encoder_probe", {"encoder": "MCG-NJU/videomae-base"}, "clip_encoder_probe"),
        ("clip_encoder_probe", {"encoder": "nobody/nothing"}, "facebook/vjepa2"),
        ("clip_encoder_probe", {"num_frames": 8}, "num_frames: 16"),
        ("clip_encoder_probe", {"weights": "imagenet"}, "encoder: FOLDER"),
        (
            "clip_encoder_probe",
            {"encoder": "facebook/vjepa2-vitl-fpc64-256", "num_frames": 15},
            "num_frames: 16",
        ),
        ("frame_encoder_probe", {"grid": 4, "input_size": 28}, "input_size: 224"),
        ("frame_encoder_probe", {"width": 20, "num_heads": 8}, "num_heads that divides 20"),
    ],
)
def test_what_does_not_fit_is_told(model: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises((UserError, UserErrors), match=said):
        validate_options(model, options)


def test_a_folder_of_another_net_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="bert"):
        encoder_facts(str(tmp_path))


@pytest.mark.parametrize("name", ENCODERS)
def test_the_table_tells_sizes_without_a_file(name: str) -> None:
    facts = encoder_facts(name)
    assert facts.width in (384, 768, 1024, 1280) and facts.licence != "not told"
    assert (facts.input_size, facts.num_frames) in {(224, 16), (256, 64), (224, 1)}


def test_the_attention_tells_where_the_probe_looks(folders: dict[str, Path]) -> None:
    model: Any = create_model(
        "clip_encoder_probe",
        3,
        encoder=str(folders["vjepa2"]),
        input_size=SIDE,
        num_frames=FRAMES,
        window_frames=FRAMES,
        width=16,
        num_heads=2,
    )
    f_BSE = torch.randn(2, 2, 4 * WIDTH)
    weights_BTP = model.head.attention_weights(model.features(f_BSE))
    assert weights_BTP.shape == (2, 2, 4)
    torch.testing.assert_close(weights_BTP.sum((1, 2)), torch.ones(2))

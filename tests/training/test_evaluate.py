import numpy as np
import pytest
import torch
from torch import nn

from vidclass.models import create_model
from vidclass.training.config import TrainConfig
from vidclass.training.evaluate import evaluate, recalibrate_batch_norm

CPU = torch.device("cpu")


@pytest.fixture
def model(make_model):
    torch.manual_seed(0)
    return make_model()


def test_a_video_is_the_mean_softmax_of_its_views(model, clips, transform):
    data = clips(0, 10, views=3)
    seen = evaluate(model, data, transform=transform, batch_size=7, device=CPU)
    assert seen.prob_NK.shape == (10, 3)
    assert seen.clip_prob_NVK.shape == (10, 3, 3)
    x_BTHWC = data.read(np.arange(12, 15), epoch=0, train=False)
    with torch.no_grad():
        prob_VK = model.eval()(transform(x_BTHWC, train=False)).softmax(dim=1).numpy()
    np.testing.assert_allclose(seen.clip_prob_NVK[4], prob_VK, atol=1e-6)
    np.testing.assert_allclose(seen.prob_NK[4], prob_VK.mean(axis=0), atol=1e-6)
    assert seen.video_ids == [f"v{n:03d}" for n in range(10)]
    expected = -np.log(seen.clip_prob_NVK[np.arange(10), :, seen.labels]).mean()
    assert seen.loss == pytest.approx(expected)


def test_evaluation_repeats_itself_and_changes_nothing(model, clips, transform):
    data = clips(0, 20)
    model.train()
    before = {name: part.clone() for name, part in model.state_dict().items()}
    first = evaluate(model, data, transform=transform, batch_size=8, device=CPU)
    second = evaluate(model, data, transform=transform, batch_size=8, device=CPU)
    assert np.array_equal(first.prob_NK, second.prob_NK)
    assert model.training
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())


def test_size_of_batches_does_not_matter(model, clips, transform):
    data = clips(0, 13)
    for batch_size in (1, 5, 64):
        seen = evaluate(model, data, transform=transform, batch_size=batch_size, device=CPU)
        one = evaluate(model, data, transform=transform, batch_size=13, device=CPU)
        np.testing.assert_allclose(seen.prob_NK, one.prob_NK, atol=1e-6)


def test_recalibrated_statistics_are_those_of_the_given_clips(model, clips, transform):
    data = clips(0, 60, order="frozen")
    calibrated = recalibrate_batch_norm(model, data, transform=transform, batch_size=60, device=CPU)
    x_BTHWC = data.read(np.arange(60), epoch=0, train=True)
    with torch.no_grad():
        mean_C = model.conv1(transform(x_BTHWC, train=False).flatten(1, 2)).mean(dim=(0, 2, 3))
    torch.testing.assert_close(calibrated.norm1.running_mean, mean_C, rtol=1e-4, atol=1e-4)
    assert not model.norm1.running_mean.any()
    assert torch.equal(calibrated.conv1.weight, model.conv1.weight)
    assert calibrated.norm1.momentum == model.norm1.momentum
    assert not calibrated.training


def test_recalibration_without_batch_norm_is_a_copy(make_model, clips, transform):
    model = make_model(norm=False)
    copy = recalibrate_batch_norm(model, clips(0, 6), transform=transform, batch_size=4, device=CPU)
    assert copy is not model
    for name, part in copy.state_dict().items():
        assert torch.equal(part, model.state_dict()[name])


def test_recalibration_leaves_the_statistics_of_a_frozen_backbone(clips, transform):
    values = {"backbone": "shufflenet_v2_x0_5", "weights": "none", "input_size": 16}
    model = create_model(
        "backbone_pooling", 3, **values, window_frames=4, cache_features=False
    ).eval()
    data = clips(0, 6)
    copy = recalibrate_batch_norm(model, data, transform=transform, batch_size=4, device=CPU)
    for name, part in copy.state_dict().items():
        assert torch.equal(part, model.state_dict()[name])


def test_a_model_of_motion_loses_it_on_frozen_frames_and_swaps_it_on_reversed(
    run_fit, make_model, clips, transform
):
    model: nn.Module = make_model()
    config = TrainConfig(epochs=10, batch_size=16, lr=1e-2, precision="float32")
    run_fit(model, config, train=clips(0, 100), valid=clips(100, 120))

    def predicted(order: str) -> np.ndarray:
        train, test = clips(0, 100, order=order), clips(120, 150, order=order)
        options = {"transform": transform, "batch_size": 32, "device": CPU}
        calibrated = recalibrate_batch_norm(model, train, **options)
        return evaluate(calibrated, test, **options).prob_NK.argmax(axis=1)

    label_N = clips(120, 150).labels
    swapped_N = np.array([0, 2, 1])[label_N]
    assert np.mean(predicted("kept") == label_N) > 0.9
    assert np.mean(predicted("reversed") == swapped_N) > 0.8
    assert np.mean(predicted("frozen") == label_N) < 0.6

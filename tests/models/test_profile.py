import pytest
import torch

from vidclass.errors import UserErrors
from vidclass.models import create_model, list_models, model_entry, validate_options
from vidclass.models.backbones import with_backbone
from vidclass.models.profile import profile

# conv: output positions x outputs x inputs x kernel; dense: inputs x outputs
SINGLE_170_MACS = (
    54**2 * 96 * 3 * 11**2
    + 23**2 * 256 * 96 * 5**2
    + 9**2 * 384 * 256 * 3**2
    + 7**2 * 384 * 384 * 3**2
    + 5**2 * 256 * 384 * 3**2
    + 1024 * 4096
    + 4096 * 4096
    + 4096 * 101
)


@pytest.mark.parametrize("norm", ["batch", "lrn", "layer", "none"])
def test_multiplications_are_those_of_the_layers_alone(norm: str) -> None:
    costs = profile("single_frame", 101, norm=norm)
    assert round(costs.gmacs * 1e9) == SINGLE_170_MACS


def test_average_of_four_frames_costs_four_frames() -> None:
    assert profile("average_fusion", 101).gmacs == 4 * profile("single_frame", 101).gmacs


@pytest.mark.parametrize("name", list_models())
def test_parameters_are_those_of_the_real_model(name: str) -> None:
    entry = model_entry(name)
    model = create_model(name, 8, **entry.quick_options)
    options = validate_options(name, entry.quick_options)
    whole = with_backbone(model, entry, options)
    costs = profile(name, 8, **entry.quick_options)
    assert costs.parameters == sum(weight.numel() for weight in whole.parameters())
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert costs.trained_parameters == sum(weight.numel() for weight in trained)
    assert costs.weight_mib == pytest.approx(4 * costs.parameters / 2**20)
    assert costs.input_shape == entry.input_shape(options)


def test_kept_features_cost_their_backbone_once() -> None:
    options = {**model_entry("lrcn").quick_options, "num_frames": 5}
    cached = profile("lrcn", 8, **options)
    whole = profile("lrcn", 8, **options, cache_features=False)
    assert cached.input_shape == (5, 512) and whole.input_shape == (5, 3, 32, 32)
    assert cached.gmacs == pytest.approx(whole.gmacs)
    assert whole.step_gmacs == whole.gmacs > 10 * cached.step_gmacs
    assert cached.trained_parameters == whole.trained_parameters < cached.parameters
    assert cached.stored_parameters == cached.trained_parameters
    assert whole.stored_parameters == whole.parameters == cached.parameters


def test_running_statistics_count_as_in_keras() -> None:
    costs = profile("single_frame", 101)
    assert costs.parameters_counted_as_keras - costs.parameters == 2 * (96 + 256)


def test_activations_hold_at_least_the_input_and_the_first_map() -> None:
    costs = profile("single_frame", 101, norm="none")
    floats = 3 * 170**2 + 96 * 54**2
    assert 4 * floats / 2**20 < costs.activation_mib < 4 * 4 * floats / 2**20


def test_no_memory_is_taken_for_the_weights() -> None:
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        costs = profile("single_frame", 101, width=4.0)  # 1.2 GiB of weights
        assert torch.equal(before, torch.get_rng_state())
    assert costs.weight_mib > 1000


def test_wrong_options_are_told() -> None:
    with pytest.raises(UserErrors, match="did you mean width"):
        profile("single_frame", 8, widht=1.0)

import pytest
import torch

from vidclass.errors import UserErrors
from vidclass.models import create_model
from vidclass.models.capsule import Routing, squash


def test_squash_keeps_directions_and_bounds_lengths() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.1]])
    squashed = squash(vectors)
    lengths = squashed.norm(dim=1)
    torch.testing.assert_close(lengths, torch.tensor([25 / 26, 0.01 / 1.01]), rtol=1e-3, atol=1e-5)
    assert torch.allclose(squashed / lengths[:, None], vectors / vectors.norm(dim=1)[:, None])


def test_one_routing_weighs_all_capsules_alike() -> None:
    torch.manual_seed(0)
    routing = Routing(num_kinds=2, num_classes=3, num_routings=1)
    u_BGPV = torch.randn(1, 2, 4, 8)
    votes = torch.einsum("bgpv,gkuv->bkgpu", u_BGPV, routing.of_kind_GKUV)
    torch.testing.assert_close(routing(u_BGPV), squash(votes.sum(dim=(2, 3)) / 3))


def test_routing_sends_capsules_where_their_votes_agree() -> None:
    routing = Routing(num_kinds=1, num_classes=2, num_routings=3)
    with torch.no_grad():
        routing.of_kind_GKUV.zero_()
        routing.of_kind_GKUV[0, 0, :8] = torch.eye(8)  # the first class takes capsules as they are
        routing.of_kind_GKUV[0, 1, 8:] = torch.eye(8)
    u_BGPV = torch.zeros(1, 1, 4, 8)
    u_BGPV[..., 0] = 1.0
    alike = routing(u_BGPV).norm(dim=2)
    torch.testing.assert_close(alike[:, 0], alike[:, 1])
    with torch.no_grad():
        routing.of_kind_GKUV[0, 1] *= 0.1  # weaker votes for the second
    lengths = routing(u_BGPV).norm(dim=2)
    routing.num_routings = 1
    before = routing(u_BGPV).norm(dim=2)
    assert lengths[0, 0] / lengths[0, 1] > before[0, 0] / before[0, 1]


def test_frames_that_are_too_small_are_refused() -> None:
    with pytest.raises(UserErrors, match="25 or more"):
        create_model("capsule", 3, input_size=24)

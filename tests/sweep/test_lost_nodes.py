"""What is read from Ray's account of a failure: the node's end, or the trial's own."""

import pytest

from vidclass.sweep.search import node_lost

DIED = "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.\n"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (f"{DIED}The actor died because its node has died. Node Id: 1f\n", True),
        (f"{DIED}\tthe actor's node was terminated unexpectedly: health check failed", True),
        (f"{DIED}\tthe actor's node was preempted: ", True),
        ("NodeDiedError: Task failed due to the node (where this task was running)", True),
        (f"{DIED}The actor is dead because its worker process has died. SYSTEM_ERROR", False),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", False),
        ("", False),
    ],
)
def test_a_lost_node_is_told_from_a_trial_that_died(error: str, lost: bool) -> None:
    assert node_lost(error, "1f") is lost


def test_without_a_node_lost_contact_is_a_failure() -> None:
    assert node_lost("ActorUnavailableError: Socket closed", None) is False

import time

import pytest
import torch

from vidclass.training.process_state import CpuMeter, memory_gib, process_state

CPU = torch.device("cpu")


def test_state_is_restored_after_an_error():
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with pytest.raises(RuntimeError), torch.no_grad():
        with process_state(CPU, num_threads=2):
            assert torch.is_grad_enabled()
            assert torch.get_num_threads() == 2
            assert torch.backends.cudnn.deterministic
            torch.rand(3)
            raise RuntimeError
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random)
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == flags


def test_memory_grows_with_what_is_held():
    before = memory_gib(CPU)
    held = torch.ones(64, 2**20)  # 0.25 GiB
    assert memory_gib(CPU) - before == pytest.approx(0.25, abs=0.02)
    assert held.sum() > 0


def test_cpu_meter_tells_work_from_waiting():
    meter = CpuMeter()
    time.sleep(0.3)
    waiting = meter.percent()
    for _ in range(100):
        torch.rand(200, 200) @ torch.rand(200, 200)
    # No fixed share: other processes may hold most of the machine.
    assert meter.percent() > 2 * waiting

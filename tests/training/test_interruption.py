import os
import signal

import pytest

from radapter.processes import STOPPING
from radapter.training import StopSignal

SHELLS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGXCPU")


@pytest.mark.parametrize("name", SHELLS)
def test_a_signal_is_recorded_and_handlers_are_restored(name: str):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    stop = StopSignal()
    with stop.listening():
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", sorted(set(STOPPING) - {signal.SIGINT}))
def test_a_scheduler_that_sends_a_signal_twice_ends_nothing_at_once(number: signal.Signals):
    stop = StopSignal()
    with stop.listening():
        for _ in range(2):
            os.kill(os.getpid(), number)
        assert stop.asked


def test_sighup_under_nohup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopSignal()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)
    assert not stop.asked


def test_a_second_ctrl_c_acts_at_once():
    # a shell starts background jobs with SIGINT ignored, which Python then keeps
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    stop = StopSignal()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)

import os
import signal

import pytest

from radapter.training import StopSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heard_and_handlers_come_back(number: signal.Signals):
    before = signal.getsignal(number)
    stop = StopSignal()
    with stop.listening():
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_acts_at_once():
    # a shell starts background jobs with SIGINT ignored, which Python then keeps
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    stop = StopSignal()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)

"""`radapter` under torchrun; process 1 is killed at step 1, unless torchrun has started it again."""

import os
import signal

from processes.command import at_step_one

import radapter_cli

if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    at_step_one(lambda: os.kill(os.getpid(), signal.SIGKILL))
radapter_cli.main()

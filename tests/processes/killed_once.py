"""`radapter` under torchrun; process 1 is killed at step 2, unless torchrun has started it again."""

import os
import signal

from processes.command import at_step

import radapter_cli

if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    at_step(2, lambda: os.kill(os.getpid(), signal.SIGKILL))
radapter_cli.main()

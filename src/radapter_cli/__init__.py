"""The command line `radapter`: one file per command, with its options and their help.

Each command imports radapter inside its function, so that `radapter --help` does not import torch.
"""

from radapter_cli.application import app, data_app, main

# The order is that of `radapter --help`.
# isort: off
from radapter_cli import (  # noqa: F401
    demo,
    init,
    train,
    compare,
    evaluate,
    search,
    segment,
    mine,
    prompts,
    sweep,
    merge,
    verify,
    inspect,
    methods,
    shards,
    data_check,
)
# isort: on

__all__ = ["app", "data_app", "main"]

"""The command line `radapter`: its options, their help, and how it answers errors.

Each command imports radapter inside its function, so that `radapter --help` does not import torch.
"""

from radapter_cli.application import app, data_app, main

# isort: split
# `radapter --help` lists commands in the order of these imports.
from radapter_cli import demo, init, train, compare, prompts  # noqa: F401, I001
from radapter_cli import evaluate, sweep, report, inspect, methods, verify  # noqa: F401
from radapter_cli import merge, push, predict, embed, search, segment, serve, shards, mine, data_check  # noqa: F401

__all__ = ["app", "data_app", "main"]

"""The command line `radapter`: its options, their help, and how it answers errors.

Each command imports radapter inside its function, so that `radapter --help` does not import torch.
"""

from radapter_cli.application import app, data_app, main

# isort: split
# `radapter --help` lists commands in the order of these imports.
from radapter_cli import training, images, results  # noqa: F401, I001

__all__ = ["app", "data_app", "main"]

"""Data sets as tar shards: numbered files of about a gigabyte, which are read sequentially.

Written by writing.py and exporting.py, described by sizes.py and parts.py; the other files train from a stream of
them.
"""

from radapter.data.shards.sizes import SIZES, Shards, read_shards
from radapter.data.shards.writing import GIGABYTE, Sample, write_shards

__all__ = ["GIGABYTE", "SIZES", "Sample", "Shards", "read_shards", "write_shards"]

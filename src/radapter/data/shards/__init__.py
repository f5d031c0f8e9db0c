"""Data sets as tar shards: numbered files of about a gigabyte, which are read in one go.

sizes.py     sizes.json: what a folder of shards holds, and whether it still does
writing.py   samples into shards, whole or absent, the same bytes every time
"""

from radapter.data.shards.sizes import SIZES, Shards, read_shards
from radapter.data.shards.writing import GIGABYTE, Sample, write_shards

__all__ = ["GIGABYTE", "SIZES", "Sample", "Shards", "read_shards", "write_shards"]

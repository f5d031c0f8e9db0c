"""Data sets as tar shards: numbered files of about a gigabyte, which are read in one go.

sizes.py     sizes.json: what a folder of shards holds, and whether it still does
writing.py   samples into shards, whole or absent, the same bytes every time
parts.py     what a sample says beside its image
contents.py  the content keys of everything, for the leak guard
exporting.py a data set into shards
stream.py    a folder of shards to train on, never listed
plan.py      which process and which reader reads what of an epoch
reading.py   samples in sequence, through webdataset
prepared.py  from samples to a batch
readers.py   processes that read, and how they end
stream_loader.py  training batches, epoch by epoch
"""

from radapter.data.shards.sizes import SIZES, Shards, read_shards
from radapter.data.shards.writing import GIGABYTE, Sample, write_shards

__all__ = ["GIGABYTE", "SIZES", "Sample", "Shards", "read_shards", "write_shards"]

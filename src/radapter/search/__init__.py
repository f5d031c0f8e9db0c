"""A folder of images searched by text.

index.py     features of a folder's images, kept in a safetensors file
indexing.py  encodes what is new or changed
hits.py      the images nearest to a text
sheet.py     hits as an HTML page
"""

from radapter.search.hits import Hit, find
from radapter.search.index import ImageIndex, read_index, write_index
from radapter.search.indexing import Indexed, index_folder
from radapter.search.sheet import sheet_html

__all__ = [
    "Hit",
    "ImageIndex",
    "Indexed",
    "find",
    "index_folder",
    "read_index",
    "sheet_html",
    "write_index",
]

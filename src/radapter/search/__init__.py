"""Search in a folder of images by text: `index` (the file, its making and its search), `sheet` (an HTML page)."""

from radapter.search.index import Hit, ImageIndex, Indexed, find, index_folder, read_index, write_index
from radapter.search.sheet import sheet_html

__all__ = ["Hit", "ImageIndex", "Indexed", "find", "index_folder", "read_index", "sheet_html", "write_index"]

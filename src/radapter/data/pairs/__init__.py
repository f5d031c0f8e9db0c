"""Image-text pairs: the set (pair_set.py), its sources (source.py, kinds.py and the readers) and opening.py."""

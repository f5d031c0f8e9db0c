"""Labelled images: the set (classification.py), its sources (source.py, kinds.py and the readers) and opening.py."""

"""Labelled pictures.

classification.py  the set: pictures, labels, content hashes
labels.py          class names, and the map between two label spaces
folder.py, table.py, huggingface.py, world.py, coop.py   the sources
layouts.py         the table of public data sets; imagenet.py, objectnet.py, domains.py read them, with what
                   class_folders.py and imagenet_classes.py share
shots.py           K pictures of each class
opening.py         from a specification to a set
checking.py        what a set holds
"""

"""Labelled pictures.

classification.py  the set: pictures, labels, content hashes
labels.py          class names, and the map between two label spaces
source.py          what every kind of source takes
folder.py, table.py, huggingface.py, world.py, coop.py, layouts.py, shards.py   the kinds of source, with their keys
                   layouts.py has the table of public data sets; imagenet.py, objectnet.py, domains.py read them,
                   with what class_folders.py and imagenet_classes.py share
shots.py           K pictures of each class
kinds.py           the list of kinds
opening.py         from a source to a set
checking.py        what a set holds
"""

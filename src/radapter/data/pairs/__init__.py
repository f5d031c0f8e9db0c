"""Image-text pairs.

pair_set.py     the set: images, captions, groups and target classes; equivalence.py joins the classes
captioned.py    what a reader hands over
source.py       what every kind of source takes
table.py, lines.py, columns.py, karpathy.py, flickr8k.py, tars.py, world.py, classes.py   the kinds, with their keys
paraphrase.py   captions in other words
kinds.py        the list of kinds
opening.py      from a source to a set
grouped_batches.py   batches in which pairs share a class
long_captions.py     what a context cuts
"""

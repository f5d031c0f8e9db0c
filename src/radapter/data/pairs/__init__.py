"""Image-text pairs.

pair_set.py     the set: images, captions, groups and target classes; equivalence.py joins the classes
captioned.py    what a reader hands over
table.py, lines.py, columns.py, karpathy.py, flickr8k.py, tars.py, world.py, classes.py   the readers
paraphrase.py   captions in other words
kinds.py        what each kind of source takes, and its reader
opening.py      from a specification to a set
grouped_batches.py   batches in which pairs share a class
long_captions.py     what a context cuts
"""

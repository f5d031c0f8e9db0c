"""Pictures with a class for every pixel.

label_maps.py    from a file's bytes to a label map, and where a set's label maps come from
label_values.py  what its values mean
pairing.py       which file of two folders belongs to which
paired.py        the set: pictures and label maps of one size, class indices and one ignored value
source.py        what every kind of source takes
described.py, layouts.py, world.py   the kinds of source, with the keys that each takes; layouts.py has the table of
                 public data sets, class_lists.py their class names, folders.py reads them
kinds.py         the list of kinds
opening.py       from a source to a set
checking.py      what a set holds
"""

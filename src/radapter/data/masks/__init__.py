"""Pictures with a class for every pixel.

label_maps.py    from a file's bytes to a label map, and where a set's label maps come from
label_values.py  what its values mean
pairing.py       which file of two folders belongs to which
paired.py        the set: pictures and label maps of one size, class indices and one ignored value
folders.py       reading a data set of two folders, or its parquet file; world.py draws one
layouts.py       the table of public data sets; class_lists.py has their class names
opening.py       from a specification to a set
checking.py      what a set holds
"""

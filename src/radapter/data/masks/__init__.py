"""Pictures with a class for every pixel.

label_maps.py    from a file's bytes to a label map, and where a set's label maps come from
paired.py        the set: pictures and label maps of one size, class indices and one ignored value
pairing.py       which file of two folders belongs to which
"""

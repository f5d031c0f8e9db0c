"""Pictures, whatever they are labelled with: from bytes to an RGB image, bounded.

decoding.py      from bytes to an RGB picture
pictures.py      where a set's pixels come from; image_files.py checks the files that a list names
augment.py       random crops and flips
corruptions.py   the 15 corruptions of ImageNet-C; arrays.py is their arithmetic
sampling.py      looking at a sample of a set
bad_images.py    counting what cannot be decoded
"""

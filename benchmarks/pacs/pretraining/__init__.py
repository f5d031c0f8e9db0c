"""What `benchmarks/pacs/pretrain.py` is made of; read images, augment, teacher, student, in this order."""

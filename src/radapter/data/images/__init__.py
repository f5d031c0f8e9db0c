"""Images, whatever their labels: storage, bounded decoding to RGB, augmentation, corruptions and checks."""

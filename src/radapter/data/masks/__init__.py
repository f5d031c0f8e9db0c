"""Images with a class for every pixel: sources, the data set, its label maps, and checks."""

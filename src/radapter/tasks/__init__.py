"""Tasks: the data sets of each, how they are trained on, and how they are evaluated."""

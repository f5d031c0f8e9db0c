"""Tasks: what is trained on, what selects, what is reported, and how each is measured."""

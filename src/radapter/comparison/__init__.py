"""Comparisons: several methods, learning rates and seeds under one protocol."""

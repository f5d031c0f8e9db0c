"""radapter: robust fine-tuning of CLIP-like models."""

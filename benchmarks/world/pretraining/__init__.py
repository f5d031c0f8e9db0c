"""How the encoder of the synthetic benchmark was made."""

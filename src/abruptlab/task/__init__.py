"""What a run is trained on: matrices with hidden entries, the tokens they are written in, what is minimised."""

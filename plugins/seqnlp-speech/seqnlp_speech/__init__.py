"""Speech recognition for seqnlp: sound to log-mel frames to characters, by CTC over any cell."""

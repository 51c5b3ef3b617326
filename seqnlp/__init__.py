"""seqnlp."""

"""The minimal gated unit, a plugin for seqnlp."""

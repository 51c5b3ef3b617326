"""The update gate network, a plugin for seqnlp."""

"""Cells with an external memory, and tasks that need one: a plugin for seqnlp."""

"""The command line; click and rich appear here only."""

"""Runs, seeds and variants side by side."""

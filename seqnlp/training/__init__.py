"""Training: the loop, its hooks, and a run from settings to a saved model."""

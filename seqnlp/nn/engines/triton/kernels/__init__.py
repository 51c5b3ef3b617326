"""What Triton compiles: these modules import it, and so are imported where it is there."""

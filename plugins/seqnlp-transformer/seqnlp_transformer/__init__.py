"""A Transformer encoder and a Transformer decoder, registered as `transformer`."""

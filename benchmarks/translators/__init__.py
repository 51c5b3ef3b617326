"""The translators that `benchmarks/translation.py` compares, each in a process of its own."""

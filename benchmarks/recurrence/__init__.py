"""What `benchmarks/cells.py` is made of: clocks, peers, cases, targets, and the report."""

"""What one writes by hand in PyTorch: the other side of comparisons."""

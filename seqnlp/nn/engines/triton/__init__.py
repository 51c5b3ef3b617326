"""Recurrences on a GPU by Triton, which nothing here imports before a kernel runs."""

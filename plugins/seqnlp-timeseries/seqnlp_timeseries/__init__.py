"""Numeric series for seqnlp: forecasts with intervals, anomalies, backtests."""

"""The runs of a data directory: found, listed, recovered.

Public: `query.RunQuery`, `summary.RunSummary`.
"""

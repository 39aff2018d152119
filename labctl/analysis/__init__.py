"""Analysis: pure functions from arrays to results with units, windows and validity flags."""

"""The runs of a data directory: found, listed, recovered."""

"""Stored runs, found and compared."""

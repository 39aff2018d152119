"""Checks, estimates, runs and resumes a protocol."""

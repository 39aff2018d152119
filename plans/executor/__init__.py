"""Checks, estimates, runs and resumes a protocol.

Public: `measurement.Measurement`, `measurement.run_protocol`.
"""

"""Galvanostatic intermittent titration (GITT).

Public: `analysis.analyze_run`.
"""

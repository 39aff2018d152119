"""Cycling data, cycle by cycle.

Public: `cycles.analyze_cycles`, `differential_capacity.differential_capacity`.
"""

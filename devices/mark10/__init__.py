"""Mark-10 force gauges as load cells.

Public: nothing.
"""

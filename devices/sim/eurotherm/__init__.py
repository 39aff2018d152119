"""The emulated Eurotherm 3200.

Public: nothing.
"""

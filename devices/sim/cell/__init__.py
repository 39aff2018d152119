"""The simulated cells and what surrounds them.

Public: nothing.
"""

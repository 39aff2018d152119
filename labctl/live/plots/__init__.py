"""What panels and comparisons are drawn with.

Public: nothing.
"""

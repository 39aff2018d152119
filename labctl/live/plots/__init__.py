"""Plots of panels and comparisons: axes, curves, crosshair, export.

Public: nothing.
"""

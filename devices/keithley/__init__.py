"""Keithley 2450, 2460 and 2461 source-measure units as cyclers.

Public: nothing.
"""

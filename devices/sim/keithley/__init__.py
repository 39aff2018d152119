"""The emulated Keithley 2450 and its kin.

Public: nothing.
"""

"""The emulated PalmSens EmStat4 HR.

Public: nothing.
"""

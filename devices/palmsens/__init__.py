"""PalmSens EmStat4 and EmStat Pico potentiostats.

Public: nothing.
"""

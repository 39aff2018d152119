"""The heated die under stack pressure, made of instruments.

Public: nothing.
"""

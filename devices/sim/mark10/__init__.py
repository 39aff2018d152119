"""The emulated Mark-10 gauge.

Public: nothing.
"""

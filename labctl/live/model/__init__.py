"""The data of the live window, without a user interface.

Public: nothing.
"""

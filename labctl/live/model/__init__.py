"""What the live window shows, without a user interface.

Public: nothing.
"""

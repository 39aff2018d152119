"""The live window and its controller.

Public: nothing.
"""

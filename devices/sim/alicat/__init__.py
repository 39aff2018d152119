"""The emulated Alicat PCD and its gas line.

Public: nothing.
"""

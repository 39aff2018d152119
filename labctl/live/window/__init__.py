"""The live window itself and what feeds it.

Public: nothing.
"""

"""The journal: every document of a run, written once and never lost.

Public: `reader.follow`.
"""

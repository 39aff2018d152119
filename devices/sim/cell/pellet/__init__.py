"""The simulated all-solid-state pellet: its physics in virtual time.

Public: nothing.
"""

"""The simulated bench as a whole: its process, its control port, and the way in.

Public: nothing.
"""

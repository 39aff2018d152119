"""Alicat PC and PCD pressure controllers.

Public: nothing.
"""

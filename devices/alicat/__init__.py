"""Alicat PC and PCD pressure controllers."""

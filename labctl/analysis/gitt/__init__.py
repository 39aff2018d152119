"""Galvanostatic intermittent titration (GITT)."""

"""Conduction of ions and electrons through electrolyte and composite."""

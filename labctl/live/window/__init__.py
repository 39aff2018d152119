"""The live window and its controller."""

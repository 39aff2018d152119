"""What panels and comparisons are drawn with."""

"""Benchmarks: figures beside a named alternative measured in the same run; never tests with a time limit."""

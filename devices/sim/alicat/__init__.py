"""The emulated Alicat PCD and its gas line."""

"""From journals into Tiled.

Public: nothing.
"""

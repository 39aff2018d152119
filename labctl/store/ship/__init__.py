"""From journals into Tiled."""

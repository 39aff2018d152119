"""Other tools at the same work: scripts for an environment of their own, which never import labctl."""

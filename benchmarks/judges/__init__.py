"""How good local judges are, and how fast."""

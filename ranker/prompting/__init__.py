"""From a lineup of trajectories to the chat messages that a judge is sent: pure functions."""

"""From the verdicts on a group to its ranking and rewards."""

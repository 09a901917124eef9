"""The trainer beside TRL's."""

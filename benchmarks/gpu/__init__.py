"""What the trainer does on a GPU: whether it is right, how fast it is, and TRL beside it."""

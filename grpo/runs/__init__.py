"""The run folder: metrics, samples, checkpoints."""

"""The policy's model: loading, packing, log-probs, sharding."""

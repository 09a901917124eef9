"""Rankings as rewards inside other trainers, one module for each."""

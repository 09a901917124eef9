"""What long runs need: limits, the reply cache, records, progress, the event loop behind the sync functions."""

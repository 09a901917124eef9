"""Group files: JSONL, one group a line."""

"""A real LLM that learns from real judges."""

"""Fuzzers with oracles of their own: short in the test suite, long by `make fuzz`."""

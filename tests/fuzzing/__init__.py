"""Fuzzers: their short form is part of the test suite, the long one is `make fuzz`."""

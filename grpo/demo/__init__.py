"""The tasks of `ranker demo` and of the packaged configs."""

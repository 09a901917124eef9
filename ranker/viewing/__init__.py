"""`ranker view` and `ranker show`: groups, judges and runs for people, in a local page, a file or the terminal."""

"""`ranker bench` and `ranker compare`: judges against ground truth.

suites × judges × conditions → trials → observations (a file) → measures → results.json → tables, report
"""

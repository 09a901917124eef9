"""`ranker bench` and `ranker compare`: judges against ground truth.

suites × judges → askings → observations (a file) → measures → results.json → tables, report
"""

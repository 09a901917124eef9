"""When does the watch raise its alarm? Recorded training runs, and audits replayed over them."""

"""The work behind `ranker train`."""

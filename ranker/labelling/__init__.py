"""People who rank groups (`ranker label`): in the terminal or in a page of a local server."""

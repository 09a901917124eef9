"""The training study: how judge quality turns into policy quality."""

"""What a judge can be talked into: measured on a user's own groups, without ground truth."""

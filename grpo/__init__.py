"""A GRPO trainer that takes a ranked group as its reward. Not part of this release yet."""

"""Producing trajectories with the policy, in this process or on vLLM servers."""

"""Adapters that turn rankings into rewards in other trainers, one module per trainer."""

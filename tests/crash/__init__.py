"""Processes that use an object are killed at random instants; those that live on finish."""

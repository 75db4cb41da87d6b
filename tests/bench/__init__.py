"""Measurements, side by side with the standard library: `make bench`."""

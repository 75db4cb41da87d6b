"""Packages that were written for the standard library, run on goprocessing: `make programs`."""

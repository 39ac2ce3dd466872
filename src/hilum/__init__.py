"""Hilum, a healthcare integration hub."""

__version__ = "0.1.0"

"""Bridges to other libraries: their strategies, estimators, data and files."""

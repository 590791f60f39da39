"""Streams: rows come one at a time, and each is asked or predicted at once."""

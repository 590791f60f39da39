"""Pairs and preferences: which two items should be compared next."""

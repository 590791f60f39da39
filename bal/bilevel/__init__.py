"""Bilevel coresets: the batch whose model has the least loss on the whole pool."""

"""Active learning by a cheap model for an expensive one: features to choose by, a network to fine-tune."""

__all__: list[str] = []

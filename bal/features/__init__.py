"""Features of a frozen encoder: computed once, kept in a folder, read as a pool."""

__all__: list[str] = []

"""A folder of records seen in a browser while it grows."""

__all__: list[str] = []

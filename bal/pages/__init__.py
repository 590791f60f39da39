"""What the pages share: a server on this machine alone, a token in the link, a look."""

__all__: list[str] = []

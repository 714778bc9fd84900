"""Files: networks that leave the process that trained them."""

__all__: list[str] = []

"""Files: networks that leave the process that trained them."""

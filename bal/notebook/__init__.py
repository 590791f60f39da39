"""Labels given in a notebook."""

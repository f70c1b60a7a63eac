"""Generated model files, and what writes them."""

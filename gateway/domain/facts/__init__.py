"""Facts: what came in, appended and kept. Everything else about people is derived from them."""

"""What exists: conf/ and the shelves, read without importing what stands on them."""

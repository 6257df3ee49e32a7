"""What exists: conf/ and the folders of functions, read without importing anything of them."""

"""Beside the mean: what a cell's runs say that Δ alone does not. Functions of a cell and its run folders;
each file has `of(cell, …)`."""

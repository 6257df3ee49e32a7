"""What runs leave on disk: records, plans, claims. Where training and comparing meet; imports no torch."""

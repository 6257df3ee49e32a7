"""What runs leave on disk: records, plans, claims, tensors. Where training and comparing meet; imports no torch at its head."""

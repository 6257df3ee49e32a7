"""Domains and their splits."""

"""Results that were made elsewhere: tables with a row an item and run, read, checked, and made run
records."""

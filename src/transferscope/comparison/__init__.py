"""From a store's records to verdicts, and what is said of them."""

"""Code and environment of a result, and the ledger of results carried over to other code."""

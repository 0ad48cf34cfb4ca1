"""The searchers: each decides which points to try, behind one protocol."""

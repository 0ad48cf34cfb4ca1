"""The executors: each runs trials somewhere, behind one protocol."""

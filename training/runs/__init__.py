"""The runs: a folder each, and the log of all."""

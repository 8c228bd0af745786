"""From data sets to pixels, labels and splits."""

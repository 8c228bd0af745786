"""Tells which dish or which place is in a photo: train a classifier, look into it, serve it."""

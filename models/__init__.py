"""The ground floor: what a model is, and how a photo becomes its input.

``training`` makes the bundles that lie in this folder, ``app`` serves them; this package imports neither.
"""

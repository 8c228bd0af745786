"""Makes bundles: data sets, augmentation, networks, the training loop, and what is measured afterwards."""

"""The commands of the training side, a file each."""

"""What the documentation shows of the code is taken from the code: settings, recipe keys, commands, REST answers."""

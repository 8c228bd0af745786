"""What all errors have in common that a person can mend."""


class FoodsceneError(Exception):
    """Something is not as it should be, and the text says what, and what to do.

    The command line prints the text alone. Any other exception is a mistake of ours, and keeps its traceback.
    """

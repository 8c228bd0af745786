"""What all errors have in common that a person can mend."""

from foodscene.models.text import printable_lines


class FoodsceneError(Exception):
    """Something is not as it should be, and the text says what, and what to do.

    The command line prints the text alone. Any other exception is a mistake of ours, and keeps its traceback.
    The text often holds names that others chose: as a string, it is safe to print and to log.
    """

    def __str__(self) -> str:
        return printable_lines(super().__str__())

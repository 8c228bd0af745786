"""What ends a job, though not the photos that are done by then."""

from foodscene.models.errors import FoodsceneError


class BulkError(FoodsceneError, ValueError):
    """Photos that cannot be found or got at, or a table that cannot be written. Its text says what to do."""

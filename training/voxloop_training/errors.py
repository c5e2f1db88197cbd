"""What can go wrong while a model is made.

TrainingError
├── DataError     the data set is at fault: a missing file, a split that must not be trained on
├── RecipeError   the operator is at fault: a setting that does not fit the data or the machine
└── ModelError    we are at fault: a loss that stays non-finite, an export that disagrees with its model
"""


class TrainingError(Exception):
    """Root of all errors that this package raises on purpose."""


class DataError(TrainingError):
    """The data set is not what the recipe says it is."""


class RecipeError(TrainingError):
    """A setting is outside of what is allowed."""


class ModelError(TrainingError):
    """The model, its training or its export went wrong."""

import pytest
from pydantic import ValidationError

from foodscene.training.recipes.sections import Dense, Input, Optimizer


@pytest.mark.parametrize(("size", "height", "width"), [(128, 128, 128), ((96, 160), 96, 160)])
def test_a_size_is_a_square_s_side_or_height_and_width(size: int | tuple[int, int], height: int, width: int) -> None:
    assert Input(size=size, channels=1, fit="pad").spec == (height, width, 1, "pad")


def test_every_dense_layer_has_an_activation() -> None:
    assert Dense(kind="dense", dense=(8, 4), dense_activation=("relu", "tanh")).dense == (8, 4)
    with pytest.raises(ValidationError, match="dense_activation names 2 for 1 dense layers"):
        Dense(kind="dense", dense=(8,), dense_activation=("relu", "tanh"))


def test_a_section_has_its_own_keys_alone_and_stays_as_it_was_read() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Optimizer.model_validate({"learnig_rate": 0.1})
    with pytest.raises(ValidationError, match="frozen"):
        Optimizer().learning_rate = 0.1  # type: ignore[misc]

from pathlib import Path

import pytest
from pydantic import ValidationError

from voxloop_proto.errors import ConfigError
from voxloop_training.recipe import Recipe, load_recipe

RECIPES = Path(__file__).parents[2] / "training/recipes"
SYNTHESIS = RECIPES / "synthetic.toml"  # a recipe of another kind


@pytest.mark.parametrize(
    "path", sorted({*RECIPES.glob("*.toml")} - {RECIPES / "synthetic.toml"}), ids=lambda path: path.stem
)
def test_the_recipes_of_the_repository_are_valid(path: Path) -> None:
    recipe = load_recipe(path)
    assert all(manifest.endswith("train.jsonl") for manifest in recipe.data.train)
    assert not any("test" in manifest.rpartition("/")[2] for manifest in recipe.data.dev)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[data]\ntrain = ["a/train.jsonl"]\n[model]\nwitdh = 3\n')
    with pytest.raises(ConfigError, match=r"model\.witdh"):
        load_recipe(path)


def test_competition_without_phones_is_refused(recipe: Recipe) -> None:
    values = recipe.model_dump(mode="json")
    values["stages"][1]["competition_weight"] = 0.5
    with pytest.raises(ValidationError, match=r"set model\.phones"):
        Recipe.model_validate(values)

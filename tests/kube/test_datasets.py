"""Texts to train on that a search names and that aren't there: nothing is started until they are."""

import pytest

from asiarch.api.reason import Reason
from asiarch.api.search import Dataset, Evaluation, Rung
from asiarch.kube.client import CONFIG_MAPS
from tests.kube.scene import NAMESPACE, Scene, played

TEXT = {"text.txt": "To be, or not to be."}


def reading(**dataset: str) -> Evaluation:
    """An evaluation on a text."""
    return Evaluation(
        ladder=(Rung(name="b", task="ByteLanguageModel", dataset=Dataset.model_validate(dataset)),)
    )


@pytest.mark.parametrize("path", [".", "text.txt", "./text.txt"])
def test_a_missing_config_map_holds_the_search_until_it_is_there(path: str) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply(evaluation=reading(configMap="words", path=path))
        await scene.turns(3)
        assert scene.troubles == [(Reason.DATASET_INVALID, True)]
        (trouble,) = scene.world.seen.troubles
        assert trouble.message.startswith("spec.evaluation.ladder[0].dataset: ConfigMap words")
        assert (scene.jobs(), scene.world.wake_after) == ([], 10.0)
        await scene.memory.create(CONFIG_MAPS, NAMESPACE, {"metadata": {"name": "words"}, "data": TEXT})
        await scene.turns(3)
        assert scene.troubles == []
        assert scene.jobs() != []
        assert scene.asked("get", "words") == 4

    played(scenario)


@pytest.mark.parametrize("data", [{}, {"data": {"other.txt": "x"}}])
def test_a_config_map_without_the_text_is_as_good_as_none(data: dict[str, object]) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.memory.create(CONFIG_MAPS, NAMESPACE, {"metadata": {"name": "words"}, **data})
        await scene.apply(evaluation=reading(configMap="words", path="text.txt"))
        await scene.turns(2)
        assert scene.troubles == [(Reason.DATASET_INVALID, True)]
        assert "ConfigMap words (key: text.txt) not found" in scene.world.seen.troubles[0].message

    played(scenario)


def test_a_laptops_path_is_refused_by_field_and_the_standard_library_is_not() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply(evaluation=reading(path="texts"))
        await scene.turns(2)
        assert scene.troubles == [(Reason.CONFIG_INVALID, True)]
        message = scene.world.seen.troubles[0].message
        assert message.startswith('spec.evaluation.ladder[0].dataset.path: found "texts" alone')
        assert scene.jobs() == []

    async def sound(scene: Scene) -> None:
        await scene.apply(evaluation=reading(path="stdlib"))
        await scene.turns(2)
        assert scene.troubles == []

    played(scenario)
    played(sound)

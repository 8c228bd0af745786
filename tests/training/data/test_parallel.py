import os

import pytest

from foodscene.training.data import parallel
from foodscene.training.datasets import DatasetError, open_dataset


def name_and_process(index, sample):
    return f"{index} {sample.name}", os.getpid()


def die(index, sample):
    os._exit(1)


@pytest.fixture
def samples(folder):
    return open_dataset(folder({f"a/{number:03}.jpg": b"" for number in range(300)})).samples


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_order_from_that_many_processes(samples, count):
    todo = list(range(0, 300, 2))
    results = list(parallel.each(name_and_process, samples, todo, title="Testing", workers=count))
    assert [index for index, _ in results] == todo
    assert [name for _, (name, _) in results] == [f"{index} a/{index:03}.jpg" for index in todo]
    processes = {process for _, (_, process) in results}
    assert (processes == {os.getpid()}) == (count == 1)


def test_a_killed_process_is_an_error_in_words(samples):
    with pytest.raises(DatasetError, match="was killed"):
        list(parallel.each(die, samples, range(300), title="Testing", workers=2))

from docs.generate import chain
from docs.generate.experiments import Entry


def entry(command: str, started: str, top1: float) -> Entry:
    return Entry(row="D3", recipe="mnist/softmax", started=started, command=command, top1=top1)


RUNS = [
    entry("foodscene train mnist/softmax --data mnist", "2026-01-01", 0.9),
    entry("foodscene train mnist/softmax --data mnist", "2026-01-03", 0.8),
    entry("foodscene train mnist/softmax --data mnist --set seed=1", "2026-01-05", 0.1),
    entry("foodscene train mnist/softmax --data mnist --backend scratch", "2026-01-02", 0.7),
]


def test_a_row_shows_the_newest_run_of_either_backend_as_the_recipe_says_it() -> None:
    assert chain.newest(RUNS, "D3", scratch=False) == 0.8
    assert chain.newest(RUNS, "D3", scratch=True) == 0.7
    assert chain.newest(RUNS, "D4", scratch=True) is None


def test_every_step_has_its_error_in_the_report() -> None:
    lines = chain.steps().splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == list(chain.STEPS)
    assert all(line.split("|")[3].strip().endswith("%") for line in lines)

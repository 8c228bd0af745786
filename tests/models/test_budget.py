import threading
import time

from foodscene.models.budget import Budget


def test_threads_together_never_hold_more_than_there_is() -> None:
    budget = Budget(10)
    held: list[int] = []
    most = 0
    lock = threading.Lock()

    def work(part: int) -> None:
        nonlocal most
        for _ in range(20):
            with budget.hold(part):
                with lock:
                    held.append(part)
                    most = max(most, sum(held))
                time.sleep(0.0005)
                with lock:
                    held.remove(part)

    threads = [threading.Thread(target=work, args=(part,)) for part in (1, 3, 4, 6, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not held
    assert 6 <= most <= 10


def test_a_part_larger_than_the_whole_is_held_alone() -> None:
    budget = Budget(10)
    with budget.hold(1000):
        waiting = threading.Thread(target=lambda: budget.hold(1).__enter__())
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()


def test_what_was_held_is_given_back_after_an_error() -> None:
    budget = Budget(10)
    for _ in range(3):
        try:
            with budget.hold(10):
                raise KeyError
        except KeyError:
            pass
    with budget.hold(10):
        pass

"""Work that a thread does, or whoever waits for it."""

import threading

import pytest

from hyco.runtime.once import Once


def test_work_is_done_once_whoever_asks():
    done = []
    work = Once(lambda: done.append(threading.current_thread().name))
    threads = [threading.Thread(target=work.do) for _ in range(8)]
    for thread in threads:
        thread.start()
    work.result()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert work.done


def test_work_whose_thread_never_began_is_done_by_who_waits():
    done = []
    work = Once(lambda: done.append(threading.current_thread()))
    assert not work.done
    work.result()
    assert done == [threading.current_thread()]


def test_errors_are_for_who_asks_for_the_result():
    work = Once(lambda: 1 / 0)
    work.do()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            work.result()
